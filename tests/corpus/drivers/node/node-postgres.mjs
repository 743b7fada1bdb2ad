// node-postgres: plain, parameterised and named queries, cursor, stream, COPY, a pool.
import { pipeline } from 'node:stream/promises'
import { Writable } from 'node:stream'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { version } from './version.mjs'

console.log('version', version('pg'))
const connectionString = process.env.DATABASE_URL
const client = new pg.Client({
  connectionString,
  application_name: 'report',
  statement_timeout: 30000,
  lock_timeout: 2000,
  idle_in_transaction_session_timeout: 30000,
  options: '-c search_path=public',
})
await client.connect()
await client.query('SELECT now()')
await client.query('SELECT 1 AS one; SELECT 2 AS two')
await client.query('SELECT * FROM customers WHERE country = $1 AND id > $2', ['DE', 10])
await client.query('SELECT $1::int AS n, $2::jsonb AS j, $3::text[] AS a', [7, { k: 1 }, ['x']])
await client.query({ text: 'SELECT id FROM orders WHERE id = ANY($1)', values: [[1, 2]], rowMode: 'array' })
for (const id of [1, 2]) {
  await client.query({ name: 'by-id', text: 'SELECT email FROM customers WHERE id = $1', values: [id] })
}
await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
await client.query('SELECT count(*) FROM orders')
await client.query('COMMIT')
await client.query('BEGIN')
await client.query('ROLLBACK')
const cursor = client.query(new Cursor('SELECT id FROM orders WHERE id > $1 ORDER BY id', [0]))
await cursor.read(1500)
await cursor.read(10)
await cursor.close()
for await (const _ of client.query(new QueryStream('SELECT * FROM order_items', [], { batchSize: 5000 }))) continue
const out = client.query(copyTo('COPY (SELECT id, name FROM customers) TO STDOUT WITH CSV HEADER'))
await pipeline(out, new Writable({ write: (_part, _encoding, done) => done() }))
await client.end()

const pool = new pg.Pool({ connectionString, max: 2 })
await Promise.all([1, 2, 3].map((n) => pool.query('SELECT $1::text AS n', [n])))
await pool.end()
