// Logins over TLS by node-postgres; prints for each "ok", or the error.
// On standard input a list: {host, port, user, password, database, binds, ca, cert, key}.
import { readFileSync } from 'node:fs'
import pg from 'pg'

async function logIn({ binds, ca, cert, key, ...where }) {
  const ssl = ca ? { ca: readFileSync(ca, 'utf8') } : { rejectUnauthorized: false }
  if (cert) Object.assign(ssl, { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') })
  const client = new pg.Client({ ...where, ssl, enableChannelBinding: binds })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query('SELECT 1 AS one')
    return rows[0].one === 1 ? 'ok' : 'what is this?'
  } catch (error) {
    return String(error.message)
  } finally {
    client.end().catch(() => {})
  }
}

const said = []
for (const login of JSON.parse(readFileSync(0, 'utf8'))) said.push(await logIn(login))
console.log(JSON.stringify(said))
process.exit(0)
