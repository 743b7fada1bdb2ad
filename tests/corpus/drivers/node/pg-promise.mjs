// pg-promise: its formatting of values, tasks, transactions, prepared statements.
import pgp from 'pg-promise'
import { version } from './version.mjs'

console.log('version', version('pg-promise'))
const db = pgp()({ connectionString: process.env.DATABASE_URL, max: 1 })
await db.one('SELECT * FROM customers WHERE id = $1', [1])
await db.any('SELECT ${columns:name} FROM ${table:name} WHERE country = ${country}', {
  columns: ['id', 'name'],
  table: 'customers',
  country: 'DE',
})
await db.any('SELECT id FROM orders WHERE id IN ($1:csv)', [[1, 2, 3]])
await db.any(new pgp.PreparedStatement({ name: 'by-id', text: 'SELECT name FROM customers WHERE id = $1', values: [1] }))
await db.any(new pgp.ParameterizedQuery({ text: 'SELECT name FROM customers WHERE id = $1', values: [1] }))
await db.multi('SELECT 1; SELECT 2')
await db.func('lower', ['X'])
await db.task((t) => t.batch([t.one('SELECT count(*) FROM orders'), t.one('SELECT count(*) FROM customers')]))
const { TransactionMode, isolationLevel } = pgp.txMode
const mode = new TransactionMode({ tiLevel: isolationLevel.serializable, readOnly: true, deferrable: true })
await db.tx({ mode }, (t) => t.one('SELECT count(*) FROM orders'))
await db.tx(async (t) => await t.tx((inner) => inner.one('SELECT 1 AS n')))
await db.tx((t) => t.one('SELECT 1/0')).catch(() => {})
await db.$pool.end()
