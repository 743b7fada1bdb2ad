// One act of Prisma's client, named by the first argument; the answer is one line of JSON.
import { createRequire } from 'node:module'
import { PrismaPg } from '@prisma/adapter-pg'

const { PrismaClient } = createRequire(import.meta.url)('./client')
const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL, max: 1 })
const prisma = new PrismaClient({ adapter, errorFormat: 'minimal' })

const acts = {
  async reads() {
    const first = await prisma.customers.findUnique({ where: { id: 1n } })
    const joined = await prisma.orders.findMany({
      where: { status: 'new', customers: { country: 'DE' } },
      include: { customers: true, order_items: { include: { products: true } } },
      orderBy: [{ placed_at: 'desc' }, { id: 'asc' }],
      take: 3,
      skip: 1,
    })
    const page = await prisma.customers.findMany({ cursor: { id: 10n }, take: 5, select: { id: true } })
    const grouped = await prisma.orders.groupBy({ by: ['status'], _count: true, orderBy: { status: 'asc' } })
    const totals = await prisma.order_items.aggregate({ _sum: { quantity: true }, _avg: { unit_price: true } })
    const inJson = await prisma.customers.count({ where: { preferences: { path: ['newsletter'], equals: true } } })
    const tagged = await prisma.products.count({ where: { tags: { has: 'gift' } } })
    const search = await prisma.customers.count({ where: { email: { contains: 'ADA', mode: 'insensitive' } } })
    return {
      first: first.email,
      joined: joined.length,
      lines: joined.every((order) => order.order_items.every((line) => line.products.sku)),
      page: page.length,
      groups: grouped.length,
      quantity: totals._sum.quantity,
      inJson,
      tagged,
      search,
    }
  },
  async raw() {
    const rows = await prisma.$queryRaw`SELECT count(*)::int AS n FROM customers WHERE id > ${500}`
    const unsafe = await prisma.$queryRawUnsafe('SELECT id FROM orders WHERE id = ANY($1)', [1, 2, 3])
    return { rows: rows[0].n, unsafe: unsafe.length }
  },
  async transactions() {
    const [customers, orders] = await prisma.$transaction([prisma.customers.count(), prisma.orders.count()])
    const inside = await prisma.$transaction(
      async (tx) => (await tx.products.count()) + (await tx.customers.count()),
      { isolationLevel: 'RepeatableRead' },
    )
    return { customers, orders, inside }
  },
  async reuse() {
    const names = new Set()
    for (let id = 1n; id <= 50n; id++) names.add((await prisma.customers.findUniqueOrThrow({ where: { id } })).email)
    return { names: names.size }
  },
  async parallel() {
    const counts = await Promise.all(Array.from({ length: 20 }, () => prisma.orders.count()))
    return { right: counts.every((count) => count === 5000) }
  },
  async large() {
    const [{ big }] = await prisma.$queryRaw`SELECT repeat('pgwarden', 500000) AS big`
    return { length: big.length }
  },
  async refused() {
    const customer = { name: 'x', email: 'x@example.com', country: 'DE', created_at: new Date(0) }
    const tries = {
      create: () => prisma.customers.create({ data: customer }),
      createMany: () => prisma.customers.createMany({ data: [customer], skipDuplicates: true }),
      update: () => prisma.customers.update({ where: { id: 1n }, data: { name: 'x' } }),
      updateMany: () => prisma.customers.updateMany({ data: { name: 'x' } }),
      upsert: () =>
        prisma.customers.upsert({ where: { email: 'x' }, create: customer, update: { name: 'x' } }),
      nested: () => prisma.orders.update({ where: { id: 1n }, data: { order_items: { deleteMany: {} } } }),
      delete: () => prisma.order_items.delete({ where: { order_id_line: { order_id: 1n, line: 1 } } }),
      deleteMany: () => prisma.order_items.deleteMany(),
      truncate: () => prisma.$executeRaw`TRUNCATE order_items`,
      drop: () => prisma.$executeRawUnsafe('DROP TABLE order_items'),
      hidden: () => prisma.$queryRaw`WITH gone AS (DELETE FROM order_items RETURNING 1) SELECT count(*) FROM gone`,
      inside: () =>
        prisma.$transaction(async (tx) => {
          await tx.customers.count()
          await tx.customers.deleteMany()
        }),
    }
    const answers = {}
    for (const [name, attempt] of Object.entries(tries)) {
      try {
        await attempt()
        answers[name] = { passed: true }
      } catch (error) {
        const cause = error.meta?.driverAdapterError?.cause ?? error.cause ?? {}
        answers[name] = {
          sqlstate: cause.originalCode ?? error.meta?.code,
          message: error.message,
          detail: cause.detail,
          hint: cause.hint,
          usable: (await prisma.customers.count()) === 1000,
        }
      }
    }
    return answers
  },
}

try {
  console.log(JSON.stringify(await acts[process.argv[2]]()))
} finally {
  await prisma.$disconnect()
}
