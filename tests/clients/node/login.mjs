// One login over TLS by node-postgres; prints who came in, or the error.
// LOGIN is JSON: {host, port, user, password, database, binds, cert, key}.
import { readFileSync } from 'node:fs'
import pg from 'pg'

const { binds, cert, key, ...where } = JSON.parse(process.env.LOGIN)
const ssl = { rejectUnauthorized: false }
if (cert) Object.assign(ssl, { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })
const client = new pg.Client({ ...where, ssl, enableChannelBinding: binds })
client.on('error', () => {})
try {
  await client.connect()
  const { rows } = await client.query('SELECT 1 AS one')
  console.log(rows[0].one === 1 ? 'ok' : 'what is this?')
} catch (error) {
  console.log(String(error.message).replaceAll('\n', ' '))
}
process.exit(0)
