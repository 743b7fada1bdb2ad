// One login over TLS by Prisma's client with its adapter; prints who came in, or the error.
// LOGIN is JSON: {host, port, user, password, database, binds, cert, key}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { PrismaPg } from '@prisma/adapter-pg'

const { PrismaClient } = createRequire(import.meta.url)('./client')
const { binds, cert, key, ...where } = JSON.parse(process.env.LOGIN)
const ssl = { rejectUnauthorized: false }
if (cert) Object.assign(ssl, { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })
const adapter = new PrismaPg({ ...where, ssl, enableChannelBinding: binds, max: 1 })
const prisma = new PrismaClient({ adapter, errorFormat: 'minimal' })
try {
  const [row] = await prisma.$queryRawUnsafe('SELECT 1 AS one')
  console.log(row.one === 1 ? 'ok' : 'what is this?')
} catch (error) {
  console.log(`${error.message} ${JSON.stringify(error.meta ?? {})}`.replaceAll('\n', ' '))
}
process.exit(0)
