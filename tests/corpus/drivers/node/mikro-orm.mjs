// MikroORM: entities generated from the database, reads with them, the schema's diff.
import { EntitySchema, MikroORM } from '@mikro-orm/postgresql'
import { EntityGenerator } from '@mikro-orm/entity-generator'
import { version } from './version.mjs'

console.log('version', version('@mikro-orm/postgresql'))
const Customer = new EntitySchema({
  name: 'Customer',
  tableName: 'customers',
  properties: {
    id: { type: 'bigint', primary: true },
    name: { type: 'text' },
    email: { type: 'text' },
    country: { type: 'text' },
    orders: { kind: '1:m', entity: () => 'Order', mappedBy: 'customer' },
  },
})
const Order = new EntitySchema({
  name: 'Order',
  tableName: 'orders',
  properties: {
    id: { type: 'bigint', primary: true },
    status: { type: 'text' },
    placedAt: { type: 'Date', fieldName: 'placed_at' },
    customer: { kind: 'm:1', entity: () => 'Customer', fieldName: 'customer_id' },
  },
})
const orm = await MikroORM.init({
  clientUrl: process.env.DATABASE_URL,
  entities: [Customer, Order],
  extensions: [EntityGenerator],
})
const em = orm.em.fork()
await em.findOne('Customer', { id: '1' })
await em.find('Customer', { email: { $ilike: '%ada%' }, country: ['DE', 'FR'] }, { limit: 5, offset: 1, orderBy: { id: 'desc' } })
await em.find('Order', { customer: { country: 'DE' } }, { populate: ['customer'], limit: 3 })
await em.find('Customer', {}, { populate: ['orders'], limit: 3, strategy: 'select-in' })
await em.findAndCount('Order', { status: 'new' }, { limit: 3 })
await em.count('Order')
await em.getConnection().execute('SELECT name FROM products WHERE id = ?', [1])
await em.transactional((inner) => inner.count('Order'), { isolationLevel: 'repeatable read', readOnly: true })
await orm.schema.getUpdateSchemaSQL()
await orm.entityGenerator.generate()
await orm.isConnected()
await orm.close(true)
