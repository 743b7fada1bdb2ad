// Kysely: reads by its builder, its introspection, and the state of migrations.
import pg from 'pg'
import Cursor from 'pg-cursor'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { version } from './version.mjs'

console.log('version', version('kysely'))
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 1 })
const db = new Kysely({ dialect: new PostgresDialect({ pool, cursor: Cursor }) })
await db.selectFrom('customers').selectAll().where('id', '=', 1).executeTakeFirst()
await db
  .selectFrom('orders as o')
  .innerJoin('customers as c', 'c.id', 'o.customer_id')
  .select(['o.id', 'c.name', (eb) => eb.fn.countAll().over((w) => w.partitionBy('c.id')).as('n')])
  .where('c.country', 'in', ['DE', 'FR'])
  .orderBy('o.placed_at', 'desc')
  .limit(5)
  .offset(1)
  .execute()
await db
  .with('recent', (q) => q.selectFrom('orders').select('id').where('status', '=', 'new'))
  .selectFrom('recent')
  .select((eb) => eb.fn.max('id').as('last'))
  .execute()
await db.selectFrom('customers').select(sql`preferences->>'language'`.as('language')).distinct().execute()
for await (const _ of db.selectFrom('order_items').selectAll().stream(5000)) continue
await db.selectFrom('orders').selectAll().where('id', '=', 1).explain()
await db.introspection.getSchemas()
await db.introspection.getTables({ withInternalKyselyTables: true })
const provider = { getMigrations: async () => ({ first: { up: async () => {} } }) }
await new Migrator({ db, provider }).getMigrations().catch(() => {})
await db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute((trx) => trx.selectFrom('orders').select('id').limit(1).execute())
await db.destroy()
