// Knex: its query builder, schema look-ups, streams, and what migrations are pending.
import { mkdirSync, writeFileSync } from 'node:fs'
import Knex from 'knex'
import { version } from './version.mjs'

console.log('version', version('knex'))
mkdirSync('migrations')
for (const name of ['20240101_first', '20240201_second']) {
  writeFileSync(`migrations/${name}.js`, 'exports.up = async () => {}; exports.down = async () => {}')
}
const knex = Knex({
  client: 'pg',
  connection: process.env.DATABASE_URL,
  searchPath: ['public', 'warehouse'],
  pool: { min: 0, max: 1 },
})
await knex('customers').where({ id: 1 }).first()
await knex.select('id', 'name').from('customers').whereIn('country', ['DE', 'FR']).orderBy('name').limit(5).offset(2)
await knex('orders').join('customers', 'customers.id', 'orders.customer_id').where('status', 'new').count()
await knex('orders').select('status').max('id as last').groupBy('status').havingRaw('count(*) > ?', [1])
await knex('customers').whereILike('email', '%ada%').pluck('id')
await knex('customers').whereExists(knex('orders').whereRaw('orders.customer_id = customers.id')).limit(1)
await knex.with('recent', knex('orders').where('placed_at', '>', '2024-06-01')).select().from('recent').limit(3)
await knex('customers').whereJsonPath('preferences', '$.language', '=', 'de').limit(1)
await knex('orders').distinct('status').union(knex('products').select(knex.raw("'new'::order_status")))
await knex('orders').rowNumber('rank', 'placed_at', 'customer_id').limit(2)
await knex.raw('SELECT ?? FROM ?? WHERE id = ?', ['name', 'products', 1])
await knex.schema.hasTable('customers')
await knex.schema.hasColumn('customers', 'email')
await knex.schema.withSchema('warehouse').hasTable('shelves')
await knex('orders').columnInfo()
for await (const _ of knex('order_items').select().stream()) continue
await knex.transaction(
  async (trx) => {
    await trx('orders').count()
    await trx.transaction((inner) => inner('customers').count())
  },
  { isolationLevel: 'repeatable read', readOnly: true },
)
await knex.transaction((trx) => trx('orders').count())
for (const look of ['status', 'list', 'currentVersion']) await knex.migrate[look]().catch(() => {})
await knex.destroy()
