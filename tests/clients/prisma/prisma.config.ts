// Prisma's CLI on its WebAssembly engine, which speaks through node-postgres, so the tests need no native binary.
//
// The adapter knows no column type for Postgres' "char" and name, and the engine reads catalogs full of them.
// Here they become text, and "char" a character. The connection is given in parts: from a URL, the adapter's
// shadow connection would end up in the main database.
import { PrismaPg } from '@prisma/adapter-pg'
import { ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import { defineConfig } from 'prisma/config'

const CHAR = 18
const readAs: Record<number, number> = { [CHAR]: 25, 19: 25, 1002: 1009, 1003: 1009 }

function withCatalogTypes(adapter: any) {
  const characters = new WeakMap<object, number[]>()
  const performIO = adapter.performIO.bind(adapter)
  const queryRaw = adapter.queryRaw.bind(adapter)
  adapter.performIO = async (query: any) => {
    const result = await performIO(query)
    const found: number[] = []
    for (const [position, field] of (result.fields ?? []).entries()) {
      if (field.dataTypeID === CHAR) found.push(position)
      field.dataTypeID = readAs[field.dataTypeID] ?? field.dataTypeID
    }
    if (result.rows) characters.set(result.rows, found)
    return result
  }
  adapter.queryRaw = async (query: any) => {
    const result = await queryRaw(query)
    for (const position of characters.get(result.rows) ?? []) result.columnTypes[position] = ColumnTypeEnum.Character
    return result
  }
  return adapter
}

async function adapter() {
  const url = new URL(process.env.DATABASE_URL!)
  const address = {
    host: url.hostname,
    port: Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: url.pathname.slice(1),
  }
  // allowExitOnIdle: else the CLI lingers until its pool lets go of an idle connection
  const factory: any = new PrismaPg({ ...address, allowExitOnIdle: true })
  // The adapter drops the shadow database before it closes its own connection to it. Postgres waits 5 s for others
  // to leave, so an idle connection has to go sooner than that.
  const shadow: any = new PrismaPg({ ...address, idleTimeoutMillis: 300 })
  const connect = factory.connect.bind(factory)
  factory.connect = async () => withCatalogTypes(await connect())
  factory.connectToShadowDb = async () => withCatalogTypes(await shadow.connectToShadowDb())
  return factory
}

export default defineConfig({
  experimental: { adapter: true },
  engine: 'js',
  adapter,
  schema: 'prisma/schema.prisma',
})
