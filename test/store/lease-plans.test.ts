/**
 * With many open leases, no job of each second and no request reads all of them: the test counts the rows that their
 * plans read.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { fillLeases } from '../support/fill-leases.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { definitionFor, shopEntry } from '../support/leases.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const many = 30_000
/** A page is at most 500 rows, each with its session. */
const page = 500

type Statement = { sql: string; bindings?: unknown[] }
type Plan = {
  'Node Type': string
  'Relation Name'?: string
  'Actual Rows'?: number
  'Actual Loops'?: number
  'Rows Removed by Filter'?: number
  Plans?: Plan[]
}

let purser: TestPurser
let statements: Statement[] = []
/** The clock stands still, so that periodic work runs only when a test advances it. */
let time = new Date()

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', now: () => time })
  await registerLab(purser, await createIssuer())
  const target = { host: '127.0.0.1', port: 1, admin: { username: 'purser_admin', password: 'x'.repeat(22) } }
  await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target))
  await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target, { name: 'billing' }))
  await purser.asAdmin('POST', '/api/v1/workloads', shopEntry())
  await purser.asAdmin('POST', '/api/v1/workloads', { ...shopEntry({}), name: 'other', match: { 'oidc:sub': 'x' } })
  await fillLeases(purser.knex, { many, withDue: false })
  time = new Date()
  // The first run reads all leases.
  await purser.runJobs()
  purser.knex.on('query', (statement: Statement) => void statements.push(statement))
})
beforeEach(() => (statements = []))
afterAll(() => purser?.stop())

/** The number of rows that the scans of a plan read. */
function rowsOfPlan(plan: Plan): number {
  const own = plan['Relation Name'] === undefined ? 0 : ((plan['Actual Rows'] ?? 0) + (plan['Rows Removed by Filter'] ?? 0)) * (plan['Actual Loops'] ?? 1) // prettier-ignore
  return own + (plan.Plans ?? []).reduce((sum, child) => sum + rowsOfPlan(child), 0)
}

/** The maximum number of rows that a reading statement on leases touches. */
async function maxTouched(): Promise<{ rows: number; sql: string; count: number }> {
  const reads = statements.filter(({ sql }) => /^(select|with)\b/i.test(sql) && /\b(?:lease|session)\b/.test(sql))
  let max = { rows: 0, sql: '', count: reads.length }
  for (const { sql, bindings } of reads) {
    const text = purser.knex.client.positionBindings(`explain (analyze, format json) ${sql}`) as string
    // Sent as the server sends it, so that it is planned for its values.
    const connection = await purser.knex.client.acquireConnection()
    const { rows } = await connection.query({ text, values: bindings ?? [], queryMode: 'extended' })
    await purser.knex.client.releaseConnection(connection)
    const rowsOf = rowsOfPlan(rows[0]['QUERY PLAN'][0].Plan)
    if (rowsOf >= max.rows) max = { ...max, rows: rowsOf, sql }
  }
  return max
}

it('a run of the job finds nothing due without reading open leases', async () => {
  await purser.runJobs()
  const { rows, sql, count } = await maxTouched()
  expect(count).toBeGreaterThan(3)
  expect({ rows: rows < 10, sql }).toEqual({ rows: true, sql })
})

it.each(['shop/none', 'prod/a'])('a write of a secret (%s) reads no lease', async (path) => {
  await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { a: 'b' } }, { 'if-match': '"0"' })
  statements = []
  await purser.runJobs()
  expect((await maxTouched()).rows).toBeLessThan(10)
})

it('a change of an entry reads its own leases, not those of others', async () => {
  await purser.asAdmin('POST', '/api/v1/workloads/other:disable')
  await purser.runJobs()
  expect(statements.some(({ sql }) => sql.includes('workload_id'))).toBe(true)
  expect((await maxTouched()).rows).toBeLessThan(10)
})

it('the periodic check reads all of them, a page at a time', async () => {
  time = new Date(time.getTime() + 60_001)
  await purser.runJobs()
  // The count for the metrics reads all leases once.
  statements = statements.filter(({ sql }) => !sql.includes('count(*)'))
  const { rows, sql, count } = await maxTouched()
  expect(count).toBeGreaterThan((2 * many) / page)
  expect({ rows: rows <= page * 3, sql }).toEqual({ rows: true, sql })
})

it('due leases are found among others: expired, of ended sessions, never issued, being revoked', async () => {
  await fillLeases(purser.knex, { many, withDue: true })
  // A server whose clock differs from the database's by a minute ends no lease.
  time = new Date()
  await purser.runJobs()
  statements = statements.filter(({ sql }) => !sql.includes('count(*)'))
  const { rows, sql } = await maxTouched()
  // Reads a page of expired leases, or ended sessions with their leases, but no others.
  expect({ rows: rows <= (many * 2) / 9 + page * 2, sql }).toEqual({ rows: true, sql })
  const active = await purser.knex('lease').where({ state: 'active' }).count({ n: '*' })
  expect(Number(active[0]?.['n'])).toBe(many + (many * 2) / 3)
  statements = []
  await purser.runJobs()
  statements = statements.filter(({ sql }) => !sql.includes('count(*)'))
  const after = await maxTouched()
  expect({ rows: after.rows <= (many * 2) / 9 + page * 2, sql: after.sql }).toEqual({ rows: true, sql: after.sql })
  // Under the head lock it reads one batch out of thousands.
  statements = statements.filter(({ sql }) => sql.includes('"next_attempt_at" <='))
  const taking = await maxTouched()
  expect({ rows: taking.rows <= 150, some: taking.count > 0, sql: taking.sql }).toMatchObject({
    rows: true,
    some: true,
  })
})

it('lists read the rows that they show, for every filter', async () => {
  const [lease] = await purser.knex('lease').where({ state: 'active' }).limit(1)
  for (const query of [
    '',
    'state=active',
    'state=intended',
    'state=revoking',
    'state=revoked',
    'database=orders',
    'database=billing',
    `session=${lease.session_id}`,
  ])
    await purser.asAdmin('GET', `/api/v1/leases?limit=10&${query}`)
  // The tests above moved most leases to another state: PostgreSQL plans for that once it has analyzed the table again.
  await purser.knex.raw('analyze lease')
  // Leaves out the statements of the job, which runs meanwhile.
  statements = statements.filter(({ bindings }) => bindings?.at(-1) === 11)
  const { rows, sql, count } = await maxTouched()
  expect(count).toBeGreaterThanOrEqual(8)
  expect({ rows: rows <= 22, sql }).toEqual({ rows: true, sql })
})
