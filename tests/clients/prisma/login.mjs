// Logins over TLS by Prisma's client with its adapter; prints for each "ok", or the error.
// On standard input a list: {host, port, user, password, database, binds, ca, cert, key}.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { PrismaPg } from '@prisma/adapter-pg'

const { PrismaClient } = createRequire(import.meta.url)('./client')

async function logIn({ binds, ca, cert, key, ...where }) {
  const ssl = ca ? { ca: readFileSync(ca, 'utf8') } : { rejectUnauthorized: false }
  if (cert) Object.assign(ssl, { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })
  const adapter = new PrismaPg({ ...where, ssl, enableChannelBinding: binds, max: 1 })
  const prisma = new PrismaClient({ adapter, errorFormat: 'minimal' })
  try {
    const [row] = await prisma.$queryRawUnsafe('SELECT 1 AS one')
    return row.one === 1 ? 'ok' : 'what is this?'
  } catch (error) {
    return `${error.message} ${error.meta?.driverAdapterError?.cause?.originalMessage ?? JSON.stringify(error.meta ?? {})}`
  } finally {
    await prisma.$disconnect().catch(() => {})
  }
}

const said = []
for (const login of JSON.parse(readFileSync(0, 'utf8'))) said.push(await logIn(login))
console.log(JSON.stringify(said))
process.exit(0)
