// TypeORM: connecting, finders, the query builder, what migrate and schema:log look at.
import typeorm from 'typeorm'
import { version } from './version.mjs'

console.log('version', version('typeorm'))
const { DataSource, EntitySchema, In, ILike, MoreThan } = typeorm
const Customer = new EntitySchema({
  name: 'Customer',
  tableName: 'customers',
  columns: {
    id: { type: 'bigint', primary: true, generated: 'identity', generatedIdentity: 'ALWAYS' },
    name: { type: 'text' },
    email: { type: 'text', unique: true },
    country: { type: 'char', length: 2 },
    preferences: { type: 'jsonb', default: {} },
    created_at: { type: 'timestamptz' },
  },
  relations: { orders: { type: 'one-to-many', target: 'Order', inverseSide: 'customer' } },
})
const Order = new EntitySchema({
  name: 'Order',
  tableName: 'orders',
  columns: {
    id: { type: 'bigint', primary: true, generated: 'identity', generatedIdentity: 'ALWAYS' },
    status: { type: 'enum', enum: ['new', 'paid', 'shipped', 'delivered', 'returned'], enumName: 'order_status' },
    placed_at: { type: 'timestamptz' },
    note: { type: 'text', nullable: true },
  },
  relations: { customer: { type: 'many-to-one', target: 'Customer', joinColumn: { name: 'customer_id' } } },
})
const source = await new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  entities: [Customer, Order],
  migrations: [],
  applicationName: 'report',
}).initialize()
const customers = source.getRepository('Customer')
const orders = source.getRepository('Order')
await customers.findOneBy({ id: '1' })
await customers.find({ where: { country: In(['DE', 'FR']), email: ILike('%ada%') }, order: { id: 'DESC' }, take: 5, skip: 1 })
await customers.findAndCount({ relations: { orders: true }, take: 3 })
await orders.count({ where: { placed_at: MoreThan(new Date(0)) } })
await orders.exists({ where: { status: 'new' } })
await orders.maximum('id', {})
await orders.find({ relations: { customer: true }, relationLoadStrategy: 'query', take: 3 })
await orders
  .createQueryBuilder('o')
  .leftJoinAndSelect('o.customer', 'c')
  .where('c.country = :country', { country: 'DE' })
  .andWhere((query) => `o.id IN ${query.subQuery().select('i.id').from('Order', 'i').getQuery()}`)
  .orderBy('o.placed_at', 'DESC')
  .limit(3)
  .getMany()
await orders.createQueryBuilder('o').select('o.status', 'status').addSelect('COUNT(*)', 'n').groupBy('o.status').getRawMany()
const rows = await orders.createQueryBuilder('o').limit(50).stream().catch(() => [])
for await (const _ of rows) continue
await source.query('SELECT name FROM products WHERE id = $1', [1])
await source.transaction('REPEATABLE READ', async (manager) => {
  await manager.count('Order')
  await manager.transaction((inner) => inner.count('Customer'))
})
await source.driver.createSchemaBuilder().log().catch(() => {})
await source.showMigrations()
const runner = source.createQueryRunner()
await runner.getTables(['orders', 'warehouse.shelves'])
await runner.getViews([])
await runner.hasTable('orders')
await runner.hasColumn('orders', 'note')
await runner.hasSchema('warehouse')
await runner.hasDatabase('shop')
await runner.getSchemas()
await runner.getDatabases()
await runner.getCurrentSchema()
await runner.getCurrentDatabase()
await runner.release()
await source.destroy()
