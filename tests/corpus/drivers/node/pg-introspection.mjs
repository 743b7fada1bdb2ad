// The one big catalog query of PostGraphile and its kin.
import pg from 'pg'
import { makeIntrospectionQuery } from 'pg-introspection'
import { version } from './version.mjs'

console.log('version', version('pg-introspection'))
const client = new pg.Client({ connectionString: process.env.DATABASE_URL })
await client.connect()
await client.query(makeIntrospectionQuery())
await client.end()
