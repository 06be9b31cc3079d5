/**
 * `node --conditions=purser-source --import tsx bench/leases.ts [--leases 100000] [--seconds 15]`: measures the lease job,
 * issuances beside it, and lists, with many open leases that SQL inserts. Then measures again with a third of them expired.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createIssuer, registerLab } from '../test/support/issuer.ts'
import { createShop, definitionFor, shopEntry } from '../test/support/leases.ts'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { startPurser } from '../test/support/purser.ts'
import { fillLeases } from '../test/support/fill-leases.ts'
import { printTimes, printTitle } from './print.ts'
import { cpuMicros } from './processes.ts'

const { values: flags } = parseArgs({
  options: { leases: { type: 'string', default: '100000' }, seconds: { type: 'string', default: '15' } },
})
const many = Number(flags.leases)
const seconds = Number(flags.seconds)

const say = (line: string): void => void process.stdout.write(`  ${line}\n`)
const megabytes = (): string => `${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`

const postgres = await startOwnPostgres({ settings: { autovacuum: 'on', shared_buffers: '256MB' } })
const dataUrl = new URL(postgres.url)
const purser = await startPurser({
  existing: { url: dataUrl.href, rootKey: Buffer.alloc(32, 1).toString('base64'), admin: '' },
  env: {
    PURSER_MIGRATE: 'auto',
    PURSER_LIMIT_ADDRESS_PER_SECOND: '1000000',
    PURSER_LIMIT_ATTESTOR_PER_SECOND: '1000000',
  },
})
try {
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  await purser.knex.raw(`create role purser_admin login createrole password 'Adm1n-of-the-target-0001'`)
  await purser.knex.raw('create database orders')
  const admin = { username: 'purser_admin', password: 'Adm1n-of-the-target-0001' }
  const target = { host: '127.0.0.1', port: Number(dataUrl.port), admin }
  await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target))
  await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target, { name: 'billing' }))
  await purser.asAdmin('POST', '/api/v1/workloads', shopEntry())
  const shop = createShop(purser, issuer)

  /** Measures successive issuances until `until` returns true, and the CPU of both processes meanwhile. */
  async function measureBeside(name: string, until: () => Promise<boolean>): Promise<void> {
    const times: number[] = []
    const loop = monitorEventLoopDelay({ resolution: 5 })
    loop.enable()
    const startedAt = performance.now()
    const [own, theirs] = [process.cpuUsage(), cpuMicros(postgres.pid())]
    while (!(await until())) {
      for (let n = 0; n < 20; n++) {
        const start = performance.now()
        const { status, text } = await shop.attest({ jwts: [] })
        if (status !== 200) throw new Error(text)
        times.push(performance.now() - start)
        await setTimeout(10)
      }
    }
    const took = performance.now() - startedAt
    const cpu = process.cpuUsage(own)
    loop.disable()
    printTimes(`${name}: an issuance`, times)
    say(
      `${times.length} issuances in ${(took / 1000).toFixed(1)} s; the longest ${Math.max(...times).toFixed(0)} ms, the loop's longest turn ${(loop.max / 1e6).toFixed(0)} ms; ` +
        `of a core: Purser ${((cpu.user + cpu.system) / 10 / took).toFixed(0)} %, Postgres ${((cpuMicros(postgres.pid()) - theirs) / 10 / took).toFixed(0)} %; ${megabytes()}`,
    )
  }
  const forSeconds = (max: number) => {
    const end = performance.now() + max * 1000
    return async () => performance.now() > end
  }
  async function timed(name: string, work: () => Promise<unknown>, runs = 5): Promise<void> {
    const times: number[] = []
    for (let n = 0; n < runs; n++) {
      const start = performance.now()
      await work()
      times.push(performance.now() - start)
    }
    printTimes(name, times)
  }
  const list = (query: string) => purser.asAdmin('GET', `/api/v1/leases?limit=200&${query}`)
  const lists = async (): Promise<void> => {
    const { body } = await list('')
    const [first] = body['items'] as { session: string }[]
    for (const query of [
      '',
      'state=active',
      'state=revoking',
      'state=revoked',
      'database=orders',
      'database=billing',
      `session=${first?.session ?? ''}`,
    ])
      await timed(`GET /api/v1/leases?${query.slice(0, 30)}`, () => list(query))
  }

  printTitle('no lease')
  await measureBeside('nothing to look at', forSeconds(seconds))
  await timed('all jobs once', () => purser.runJobs())

  printTitle(`${many} active leases, each of a session`)
  await fillLeases(purser.knex, { many, withDue: false })
  await measureBeside('beside the job', forSeconds(seconds))
  await timed('all jobs once', () => purser.runJobs())
  await lists()
  const change = (path: string) => async (): Promise<void> => {
    await purser.asAdmin('POST', path)
    await purser.runJobs()
  }
  await purser.asAdmin('POST', '/api/v1/workloads', { ...shopEntry({}), name: 'other', match: { 'oidc:sub': 'x' } })
  await timed('another entry is disabled and enabled, and its jobs', async () => {
    await change('/api/v1/workloads/other:disable')()
    await change('/api/v1/workloads/other:enable')()
  })
  let revision = Number((await purser.asAdmin('GET', '/api/v1/workloads/shop')).body['revision'])
  await timed('their own entry is changed, and all are looked at', async () => {
    const body = { ...shopEntry(), maxSessionSeconds: 7200 + revision }
    await purser.asAdmin('PUT', '/api/v1/workloads/shop', body, { 'if-match': `"${revision++}"` })
    await purser.runJobs()
  })

  printTitle(`${many} more, a third of them over`)
  await fillLeases(purser.knex, { many, withDue: true })
  const remaining = () => purser.knex('lease').whereIn('state', ['intended', 'revoking']).orWhere('expires_at', '<', new Date()).whereNull('ended_at').count({ n: '*' }) // prettier-ignore
  let [last, at] = [Number.NaN, performance.now()]
  const startedAt = performance.now()
  await measureBeside('while they end', async () => {
    if (performance.now() - at < 2000) return false
    at = performance.now()
    const [row] = (await remaining()) as { n: string }[]
    last = Number(row?.n)
    return last === 0 || performance.now() - startedAt > 120_000
  })
  say(`${last} of them left after ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
  await lists()
} finally {
  await purser.stop()
  await postgres.stop()
}
