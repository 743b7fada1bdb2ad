// Sequelize: authenticate, the query interface's look at the schema, finders, transactions.
import { DataTypes, Op, Sequelize, Transaction, fn, col, literal } from 'sequelize'
import { version } from './version.mjs'

console.log('version', version('sequelize'))
const sequelize = new Sequelize(process.env.DATABASE_URL, { logging: false, pool: { max: 1 } })
await sequelize.authenticate()
const options = { timestamps: false }
const Customer = sequelize.define(
  'Customer',
  {
    name: DataTypes.TEXT,
    email: DataTypes.TEXT,
    country: DataTypes.CHAR(2),
    preferences: DataTypes.JSONB,
  },
  { ...options, tableName: 'customers' },
)
const Order = sequelize.define(
  'Order',
  { status: DataTypes.ENUM('new', 'paid'), placed_at: DataTypes.DATE, note: DataTypes.TEXT },
  { ...options, tableName: 'orders' },
)
Customer.hasMany(Order, { foreignKey: 'customer_id', as: 'orders' })
Order.belongsTo(Customer, { foreignKey: 'customer_id', as: 'customer' })

await Customer.findByPk(1)
await Customer.findOne({ where: { email: { [Op.iLike]: '%ada%' } } })
await Customer.findAll({ where: { country: ['DE', 'FR'], id: { [Op.between]: [1, 50] } }, order: [['id', 'DESC']], limit: 5, offset: 1 })
await Customer.findAndCountAll({ include: [{ model: Order, as: 'orders', required: false }], limit: 3 })
await Order.findAll({ include: [{ model: Customer, as: 'customer', where: { country: 'DE' } }], limit: 3 })
await Customer.findAll({ include: [{ model: Order, as: 'orders', separate: true }], limit: 2 })
await Customer.count({ where: { preferences: { language: 'de' } } })
await Order.max('placed_at')
await Order.findAll({ attributes: ['status', [fn('COUNT', col('id')), 'n']], group: ['status'], having: literal('count(*) > 1') })
await Order.aggregate('id', 'avg', { dataType: 'float' })
await sequelize.query('SELECT name FROM products WHERE id = :id', { replacements: { id: 1 } })
await sequelize.query('SELECT name FROM products WHERE id = $1', { bind: [1] })
const look = sequelize.getQueryInterface()
await look.showAllSchemas()
await look.showAllTables()
await look.describeTable('orders')
await look.describeTable({ tableName: 'shelves', schema: 'warehouse' })
await look.showIndex('orders')
await look.showConstraint('orders')
await look.getForeignKeyReferencesForTable('orders')
await look.getForeignKeysForTables(['orders', 'order_items'])
await look.tableExists('customers')
await sequelize.databaseVersion()
await sequelize.query('SELECT "name" FROM "SequelizeMeta" AS "SequelizeMeta" ORDER BY "SequelizeMeta"."name" ASC')
await sequelize.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.REPEATABLE_READ, readOnly: true }, async (transaction) => {
  await Order.count({ transaction })
  await sequelize.transaction({ transaction }, (inner) => Customer.count({ transaction: inner }))
})
await sequelize.transaction((transaction) => Order.count({ transaction }))
await sequelize.close()
