/**
 * Rates at growing sizes of what is registered, as ratios to those of an empty server. Both servers run at once and are
 * measured in turn, so that a machine that gets slower or faster changes no ratio.
 */
import { readFileSync } from 'node:fs'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { type Size, fillTables } from './fill.ts'
import { httpRequest, makeRequests } from './issuing.ts'
import type { LoadJob } from './load.ts'
import { printTitle } from './print.ts'
import { login, mixedReads, reads, startups, writeCases } from './secrets.ts'
import { type Serving, serving } from './serving.ts'
import { timeUpdates } from './snapshot-updates.ts'

type Case = { name: string; requests: LoadJob['requests']; connections: number; perSecond?: number }
type Figures = { rate: number; p50: number; p99: number; micros: number }
type Subject = Pick<Serving, 'measure' | 'admin' | 'databaseUrl' | 'startSeconds' | 'workerPids'> & { bearer: string }

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** The resident memory of each process on average, in megabytes. */
export const megabytesOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return sum + Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
  }, 0) / pids.length

const many = (length: number, create: (n: number) => string): string[] => Array.from({ length }, (_, n) => create(n))

/** Changes of policy, each of which outdates the decisions under way and updates the snapshot of every worker. */
const entryRequests = (count: number, admin: string, round: number): string[] =>
  many(count, (n) =>
    httpRequest(
      'POST',
      '/api/v1/workloads',
      {
        name: `created-${round}-${n}`,
        attestor: 'bench',
        match: { 'oidc:sub': `created-${round}-${n}` },
        spiffeId: `spiffe://bench.example/bench/created/${round}/${n}`,
        grants: { x509: {} },
      },
      { authorization: `Bearer ${admin}` },
    ),
  )

const lists = (count: number, admin: string, path: string): string[] =>
  many(count, () => httpRequest('GET', path, undefined, { authorization: `Bearer ${admin}` }))

/** Every round has requests of its own: a token proves once, and a new secret is written once. */
async function casesFor(count: number, { bearer, admin }: Subject, round: number): Promise<Case[]> {
  return [
    { name: 'X.509', connections: 64, requests: await makeRequests(count, 'x509', false, 'ES256') },
    { name: 'JWT', connections: 64, requests: await makeRequests(count, 'jwt', false, 'ES256') },
    { name: 'startup', connections: 64, requests: await startups(count / 2) },
    { name: 'reads', connections: 64, requests: reads(count, bearer) },
    { name: 'reads, 500/s', connections: 64, perSecond: 500, requests: reads(count / 2, bearer) },
    {
      name: '  with 10 % writes',
      connections: 64,
      perSecond: 500,
      requests: mixedReads(count / 2, bearer, admin, `mixed${round}`),
    },
    ...writeCases(count / 2, admin, round),
    { name: 'new workload entry', connections: 1, requests: entryRequests(100, admin, round) },
    { name: 'list 50 secrets', connections: 1, requests: lists(200, admin, '/api/v1/secrets?limit=50') },
    { name: 'list 50 entries', connections: 1, requests: lists(200, admin, '/api/v1/workloads?limit=50') },
  ]
}

async function figures({ measure }: Subject, { requests, ...job }: Omit<Case, 'name'>): Promise<Figures> {
  const result = await measure({ ...job, requests, warmUp: Math.floor(requests.length / 4) })
  const { rate, p50, p99, serverMicros, databaseMicros = 0 } = result
  return { rate, p50, p99, micros: serverMicros + databaseMicros }
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const medians = (list: Figures[]): Figures => ({
  rate: median(list.map(({ rate }) => rate)),
  p50: median(list.map(({ p50 }) => p50)),
  p99: median(list.map(({ p99 }) => p99)),
  micros: median(list.map(({ micros }) => micros)),
})

const withRatio = (value: number, reference: number, digits = 1): string =>
  `${value.toFixed(digits)} (${(value / reference).toFixed(2)})`

async function compare(empty: Subject, full: Subject, count: number, rounds: number): Promise<void> {
  const results = new Map<string, { empty: Figures[]; full: Figures[] }>()
  let warmUpRequests = 0
  // The first round only lets V8 compile the code of both servers: one that has just started writes half as fast.
  for (let round = 0; round <= rounds; round++) {
    for (const subject of [empty, full]) {
      for (const { name, ...job } of await casesFor(count, subject, round)) {
        const result = await figures(subject, job)
        if (round === 0) {
          warmUpRequests += job.requests.length
          continue
        }
        const lists = results.get(name) ?? { empty: [], full: [] }
        lists[subject === empty ? 'empty' : 'full'].push(result)
        results.set(name, lists)
      }
    }
  }
  say(`  each server was warmed by ${warmUpRequests / 2} requests; medians of ${rounds} rounds`)
  for (const [name, lists] of results) {
    const [before, after] = [medians(lists.empty), medians(lists.full)]
    say(
      `  ${name.padEnd(30)} ${withRatio(after.rate, before.rate, 0).padStart(14)}/s  p50 ${after.p50.toFixed(1)} ms  ` +
        `p99 ${withRatio(after.p99, before.p99)} ms  CPU ${withRatio(after.micros, before.micros, 0)} µs`,
    )
  }
}

async function subjectOf(server: Serving): Promise<Subject> {
  const { text } = await server.measure({ connections: 1, requests: [await login(), await login()], warmUp: 1 })
  return { ...server, bearer: /"token":"(purser_at_[^"]+)"/.exec(text)?.[1] ?? '' }
}

const sayStart = (name: string, { startSeconds, workerPids }: Subject): void =>
  say(`  ${name}: ready after ${startSeconds.toFixed(1)} s; ${megabytesOf(workerPids()).toFixed(0)} MB a worker`)

async function sayUpdates(name: string, { databaseUrl }: Subject): Promise<void> {
  if (databaseUrl === undefined) return
  const times = await timeUpdates(databaseUrl, 200)
  const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(1)
  say(`  ${name}: one snapshot update takes ${at(0.5)} ms, p99 ${at(0.99)} ms`)
}

/**
 * @param sizes of entries; there are ten secrets and ten revoked certificates for each
 * @param load how often every case is measured, and with how many requests
 */
export async function scale(
  sizes: readonly number[],
  workers: number,
  { count, rounds }: { count: number; rounds: number },
): Promise<void> {
  const postgres = await startOwnPostgres({ settings: { autovacuum: 'on', shared_buffers: '512MB' } })
  try {
    for (const entries of sizes) {
      const size: Size = { entries, secrets: entries * 10, revoked: entries * 10 }
      printTitle(
        `${entries} entries, ${size.secrets} secrets, ${size.revoked} revoked certificates (ratio to the empty server)`,
      )
      const fill = async (url: string): Promise<void> => {
        const startedAt = performance.now()
        await fillTables(url, size)
        say(`  filled in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
      }
      await serving({ postgres, workers, tls: true }, (emptyServer) =>
        serving({ postgres, workers, tls: true, fill }, async (fullServer) => {
          const [empty, full] = [await subjectOf(emptyServer), await subjectOf(fullServer)]
          sayStart('empty', empty)
          sayStart('filled', full)
          await sayUpdates('empty', empty)
          await sayUpdates('filled', full)
          await compare(empty, full, count, rounds)
          sayStart('filled, at the end', full)
        }),
      )
    }
  } finally {
    await postgres.stop()
  }
}
