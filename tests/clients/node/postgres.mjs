// One act of postgres.js, which pipelines by itself; the answer is one line of JSON.
import { pipeline } from 'node:stream/promises'
import { Readable, Writable } from 'node:stream'
import postgres from 'postgres'

const sql = postgres(process.env.DATABASE_URL, { max: 1, onnotice: () => {} })
const count = async () => (await sql`SELECT count(*)::int AS n FROM orders`)[0].n

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
    const [row] = await sql`SELECT ${7}::int AS n, ${sql.json({ k: 1 })}::jsonb AS j`
    const listed = await sql`SELECT id FROM customers WHERE id IN ${sql([1, 2, 3])}`
    return { row, listed: listed.length }
  },
  async prepared() {
    const seen = new Set()
    for (let id = 1; id <= 40; id++) seen.add((await sql`SELECT email FROM customers WHERE id = ${id}`)[0].email)
    const [{ n }] = await sql`SELECT count(*)::int AS n FROM pg_prepared_statements`
    return { seen: seen.size, few: n < 5 }
  },
  async pipelined() {
    const many = await Promise.all(Array.from({ length: 200 }, (_, n) => sql`SELECT ${n}::int AS n`))
    return { right: many.every((rows, n) => rows[0].n === n) }
  },
  async 'refused-among-pipelined'() {
    const many = await Promise.allSettled(
      Array.from({ length: 60 }, (_, n) =>
        n % 3 ? sql`SELECT ${n}::int AS n` : sql`UPDATE orders SET note = ${String(n)}`,
      ),
    )
    return {
      right: many.filter((one, n) => one.value?.[0]?.n === n).length,
      refused: many.filter((one) => one.reason?.code === '42501').length,
      after: await count(),
    }
  },
  async cursor() {
    const sizes = []
    await sql`SELECT id FROM orders`.cursor(1500, (rows) => {
      sizes.push(rows.length)
    })
    let first = 0
    for await (const rows of sql`SELECT id FROM orders`.cursor(10)) {
      first = rows.length
      break
    }
    return { sizes, first, after: await count() }
  },
  // one COPY a connection: after a readable() this driver may wait forever, with and without a proxy
  async 'copy-out'() {
    let bytes = ''
    const out = await sql`COPY (SELECT id, name FROM customers ORDER BY id) TO STDOUT`.readable()
    await pipeline(out, new Writable({ write: (part, _, done) => ((bytes += part), done()) }))
    return { lines: bytes.trimEnd().split('\n').length }
  },
  async 'copy-in'() {
    return await refusal(async () => {
      const into = await sql`COPY customers FROM STDIN`.writable()
      await pipeline(Readable.from(['x\n']), into)
    })
  },
  async cancel() {
    const long = sql`SELECT count(*) FROM customers a, customers b, customers c`
    setTimeout(() => long.cancel(), 500)
    const answer = await refusal(() => long)
    return { sqlstate: answer.sqlstate, after: answer.orders }
  },
  async large() {
    const big = 'pgwarden'.repeat(1_000_000)
    const [row] = await sql`SELECT repeat('pgwarden', 1000000) AS big, length(${big}::text) AS n`
    return { same: row.big === big, length: row.n }
  },
  async refused() {
    const answers = {
      simple: await refusal(() => sql`DROP TABLE orders`.simple()),
      extended: await refusal(() => sql`DELETE FROM orders WHERE id = ${1}`),
      again: await refusal(() => sql`DELETE FROM orders WHERE id = ${1}`),
      inserted: await refusal(() => sql`INSERT INTO customers ${sql({ name: 'x', email: 'x' })}`),
      unsafe: await refusal(() => sql.unsafe('TRUNCATE orders')),
      inside: await refusal(() => sql.begin((tx) => [tx`SELECT 1`, tx`DELETE FROM orders`])),
    }
    return answers
  },
  async transaction() {
    const n = await sql.begin('isolation level repeatable read read only', async (tx) => {
      await tx.savepoint((inner) => inner`SELECT 1`)
      return (await tx`SELECT count(*)::int AS n FROM orders`)[0].n
    })
    return { n }
  },
}

try {
  console.log(JSON.stringify(await acts[process.argv[2]]()))
} finally {
  await sql.end({ timeout: 2 })
}
