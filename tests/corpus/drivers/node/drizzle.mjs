// Drizzle: its two drivers, relational queries, and `drizzle-kit pull` by each.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import pg from 'pg'
import postgres from 'postgres'
import { and, count, desc, eq, ilike, inArray, relations, sql } from 'drizzle-orm'
import { drizzle as byNodePostgres } from 'drizzle-orm/node-postgres'
import { drizzle as byPostgresJs } from 'drizzle-orm/postgres-js'
import { bigint, jsonb, pgEnum, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import { version } from './version.mjs'

console.log('version', version('drizzle-orm'), 'and kit', version('drizzle-kit'))
const url = process.env.DATABASE_URL
const status = pgEnum('order_status', ['new', 'paid', 'shipped', 'delivered', 'returned'])
const customers = pgTable('customers', {
  id: bigint({ mode: 'number' }).primaryKey(),
  name: text(),
  email: text(),
  country: text(),
  preferences: jsonb(),
})
const orders = pgTable('orders', {
  id: bigint({ mode: 'number' }).primaryKey(),
  customerId: bigint('customer_id', { mode: 'number' }),
  status: status(),
  placedAt: timestamp('placed_at', { withTimezone: true }),
})
const schema = {
  customers,
  orders,
  ofCustomers: relations(customers, ({ many }) => ({ orders: many(orders) })),
  ofOrders: relations(orders, ({ one }) => ({
    customer: one(customers, { fields: [orders.customerId], references: [customers.id] }),
  })),
}

async function read(db) {
  await db.select().from(customers).where(eq(customers.id, 1))
  await db.select().from(customers).where(and(ilike(customers.email, '%ada%'), inArray(customers.country, ['DE', 'FR']))).limit(5).offset(1)
  await db.select({ status: orders.status, n: count() }).from(orders).groupBy(orders.status).having(sql`count(*) > 1`)
  await db.select().from(orders).leftJoin(customers, eq(customers.id, orders.customerId)).orderBy(desc(orders.placedAt)).limit(3)
  await db.query.customers.findMany({ with: { orders: { limit: 2 } }, limit: 3 })
  await db.query.orders.findFirst({ with: { customer: true }, where: eq(orders.id, 7) })
  await db.$count(orders, eq(orders.status, 'new'))
  const recent = db.$with('recent').as(db.select().from(orders).where(eq(orders.status, 'new')))
  await db.with(recent).select().from(recent).limit(3)
  await db.select().from(customers).where(eq(customers.id, sql.placeholder('id'))).prepare('by_id').execute({ id: 1 })
  await db.execute(sql`SELECT name FROM products WHERE id = ${1}`)
  await db.selectDistinctOn([orders.customerId]).from(orders).limit(3)
  await db.transaction((tx) => tx.$count(orders), { isolationLevel: 'repeatable read', accessMode: 'read only' })
  await db.transaction((tx) => tx.transaction((inner) => inner.$count(orders)))
}

const pool = new pg.Pool({ connectionString: url, max: 1 })
await read(byNodePostgres(pool, { schema }))
await pool.end()
const client = postgres(url, { max: 1 })
await read(byPostgresJs(client, { schema }))
await client.end({ timeout: 1 })

writeFileSync(
  'drizzle.config.json',
  JSON.stringify({ dialect: 'postgresql', dbCredentials: { url }, schemaFilter: ['public', 'warehouse'], out: './out' }),
)
const kit = (...command) => execFileSync('node', ['node_modules/drizzle-kit/bin.cjs', ...command, '--config', 'drizzle.config.json'], { stdio: 'ignore' })
kit('pull')
