// postgres.js: tagged queries, fragments, cursors, COPY, transactions, its type look-up.
import { pipeline } from 'node:stream/promises'
import { Writable } from 'node:stream'
import postgres from 'postgres'
import { version } from './version.mjs'

console.log('version', version('postgres'))
const sql = postgres(process.env.DATABASE_URL, { max: 1, connection: { application_name: 'report' } })
await sql`SELECT * FROM customers WHERE id = ${7}`
await sql`SELECT id FROM customers WHERE id IN ${sql([1, 2, 3])}`
await sql`SELECT ${sql(['id', 'name'])} FROM ${sql('customers')} WHERE country = ${'DE'}`
await sql`SELECT ${sql.json({ k: 1 })}::jsonb AS j, ${sql.array([1, 2])}::int[] AS a`
await sql`SELECT status, tags FROM orders, products LIMIT 3`
await sql`SELECT count(*) FROM orders ${sql`WHERE note IS NOT NULL`}`
await sql`SELECT 1; SELECT 2`.simple()
await sql.unsafe('SELECT name FROM products WHERE price > $1', [9])
await sql.unsafe('SELECT 1 AS plain')
await sql`SELECT name FROM products WHERE id = ${1}`.describe()
await sql`SELECT id FROM orders`.cursor(2000, () => {})
await sql`SELECT id FROM orders WHERE id < ${50}`.forEach(() => {})
await sql.begin('isolation level repeatable read read only', async (tx) => {
  await tx.savepoint((inner) => inner`SELECT 1`)
  await tx.savepoint('named', (inner) => inner.unsafe('SELECT 1 / 0')).catch(() => {})
})
await sql.begin(async (tx) => await tx`SELECT count(*) FROM orders`)
await sql.begin((tx) => tx.unsafe('SELECT 1 / 0')).catch(() => {})
const out = await sql`COPY (SELECT id, name FROM customers) TO STDOUT`.readable()
await pipeline(out, new Writable({ write: (_part, _encoding, done) => done() }))
await sql.end({ timeout: 1 })

const plain = postgres(process.env.DATABASE_URL, { max: 1, prepare: false, fetch_types: false })
await plain`SELECT * FROM customers WHERE id = ${7}`
await plain.end({ timeout: 1 })
