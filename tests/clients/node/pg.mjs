// One act of node-postgres, named by the first argument; the answer is one line of JSON.
import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'

const url = process.env.DATABASE_URL
const client = new pg.Client({ connectionString: url })
await client.connect()

const count = async () => Number((await client.query('SELECT count(*) AS n FROM orders')).rows[0].n)

async function refusal(attempt) {
  try {
    await attempt()
    return { passed: true }
  } catch (error) {
    const { code: sqlstate, message, detail, hint } = error
    return { sqlstate, message, detail, hint, orders: await count() }
  }
}

const acts = {
  async reads() {
    const simple = await client.query('SELECT 1 AS one; SELECT 2 AS two')
    const typed = await client.query('SELECT $1::int AS n, $2::jsonb AS j, $3::text[] AS a', [7, { k: 1 }, ['x']])
    const rows = await client.query({ text: 'SELECT id FROM customers WHERE id < $1', values: [5], rowMode: 'array' })
    return { simple: simple.map((one) => one.rows[0]), typed: typed.rows[0], rows: rows.rows.length }
  },
  async prepared() {
    const seen = new Set()
    for (let id = 1; id <= 40; id++) {
      const query = { name: 'by-id', text: 'SELECT email FROM customers WHERE id = $1', values: [id] }
      seen.add((await client.query(query)).rows[0].email)
    }
    const { rows } = await client.query('SELECT name FROM pg_prepared_statements')
    return { seen: seen.size, prepared: rows.map((row) => row.name) }
  },
  async queued() {
    const many = await Promise.all(Array.from({ length: 100 }, (_, n) => client.query('SELECT $1::int AS n', [n])))
    return { right: many.every((one, n) => one.rows[0].n === n) }
  },
  async cursor() {
    const cursor = client.query(new Cursor('SELECT id FROM orders WHERE id > $1 ORDER BY id', [0]))
    const sizes = []
    for (;;) {
      const rows = await cursor.read(1500)
      if (!rows.length) break
      sizes.push(rows.length)
    }
    await cursor.close()
    const early = client.query(new Cursor('SELECT id FROM orders'))
    await early.read(10)
    await early.close()
    return { sizes, after: await count() }
  },
  async stream() {
    let rows = 0
    for await (const _ of client.query(new QueryStream('SELECT * FROM order_items', [], { batchSize: 100 }))) rows++
    return { rows, after: await count() }
  },
  async cancel() {
    const long = client.query('SELECT count(*) FROM customers a, customers b, customers c').catch((e) => e)
    await new Promise((resolve) => setTimeout(resolve, 500))
    const other = new pg.Client({ connectionString: url })
    await new Promise((resolve) => {
      // the driver's own way: a connection that sends CancelRequest with the first one's key
      other.connection.on('connect', () => other.connection.cancel(client.processID, client.secretKey))
      other.connection.on('end', resolve)
      other.connection.on('error', resolve)
      other.connection.connect(other.port, other.host)
    })
    const error = await long
    return { sqlstate: error.code, after: await count() }
  },
  async timeout() {
    await client.query('SET statement_timeout = 300')
    const answer = await refusal(() => client.query('SELECT count(*) FROM customers a, customers b, customers c'))
    return { sqlstate: answer.sqlstate, after: answer.orders }
  },
  async large() {
    const big = 'pgwarden'.repeat(1_000_000)
    const { rows } = await client.query('SELECT repeat($1, 1000000) AS big', ['pgwarden'])
    const back = await client.query('SELECT length($1::text) AS n', [big])
    return { same: rows[0].big === big, length: back.rows[0].n }
  },
  async refused() {
    const update = { name: 'change', text: 'UPDATE orders SET note = $1 WHERE id = $2', values: ['x', 1] }
    return {
      simple: await refusal(() => client.query('DELETE FROM orders')),
      several: await refusal(() => client.query('SELECT 1; DROP TABLE orders; SELECT 2')),
      extended: await refusal(() => client.query('DELETE FROM orders WHERE id = $1', [1])),
      prepared: await refusal(() => client.query(update)),
      'prepared-again': await refusal(() => client.query(update)),
      cursor: await refusal(async () => {
        const cursor = client.query(new Cursor('DELETE FROM orders RETURNING id'))
        try {
          await cursor.read(1)
        } finally {
          await cursor.close().catch(() => {})
        }
      }),
    }
  },
  async transaction() {
    await client.query('BEGIN')
    await client.query('SELECT 1')
    const answers = {}
    try {
      await client.query('DELETE FROM orders')
    } catch (error) {
      answers.first = error.code
    }
    try {
      await client.query('SELECT 1')
    } catch (error) {
      answers.then = error.code
    }
    await client.query('ROLLBACK')
    return { ...answers, after: await count() }
  },
  async pool() {
    const pool = new pg.Pool({ connectionString: url, max: 4 })
    const answers = await Promise.allSettled(
      Array.from({ length: 40 }, (_, n) =>
        n % 4 ? pool.query('SELECT count(*)::int AS n FROM orders') : pool.query('DELETE FROM orders'),
      ),
    )
    await pool.end()
    return {
      right: answers.filter((one) => one.value?.rows[0]?.n === 5000).length,
      refused: answers.filter((one) => one.reason?.code === '42501').length,
    }
  },
}

try {
  console.log(JSON.stringify(await acts[process.argv[2]]()))
} finally {
  await client.end()
}
