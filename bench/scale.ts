/** Rates at growing sizes of what is registered, as ratios to those of the empty server. */
import { readFileSync } from 'node:fs'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { type Size, fillTables } from './fill.ts'
import { makeRequests } from './issuing.ts'
import type { LoadJob } from './load.ts'
import { printTitle } from './print.ts'
import { login, readCases, writeCases } from './secrets.ts'
import { serving } from './serving.ts'

type Case = { name: string; connections: number; requests: LoadJob['requests']; perSecond?: number }
type Figures = { rate: number; p99: number; micros: number }

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** The resident memory of a process and its descendants is that of its workers; each has a snapshot of its own. */
const megabytesOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return sum + Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
  }, 0)

async function casesFor(count: number, bearer: string, admin: string, size: number): Promise<Case[]> {
  return [
    { name: 'X.509', connections: 64, requests: await makeRequests(count, 'x509', false, 'ES256') },
    { name: 'JWT', connections: 64, requests: await makeRequests(count, 'jwt', false, 'ES256') },
    ...readCases(count, bearer, admin),
    ...writeCases(count / 2, admin, size),
  ]
}

/** @param sizes of entries; there are ten secrets and ten revoked certificates for each */
export async function scale(sizes: readonly number[], workers: number, count: number): Promise<void> {
  const postgres = await startOwnPostgres({ settings: { autovacuum: 'on', shared_buffers: '512MB' } })
  const before = new Map<string, Figures>()
  try {
    for (const entries of [0, ...sizes]) {
      const size: Size = { entries, secrets: entries * 10, revoked: entries * 10 }
      printTitle(`${entries} entries, ${size.secrets} secrets, ${size.revoked} revoked certificates`)
      const fill = async (url: string): Promise<void> => {
        const began = performance.now()
        await fillTables(url, size)
        say(`  filled in ${((performance.now() - began) / 1000).toFixed(0)} s`)
      }
      await serving({ postgres, workers, tls: true, fill }, async ({ measure, admin, startSeconds, workerPids }) => {
        say(
          `  ready after ${startSeconds.toFixed(1)} s; ${(megabytesOf(workerPids()) / workers).toFixed(0)} MB a worker`,
        )
        const { text } = await measure({ connections: 1, requests: [await login(), await login()], warmUp: 1 })
        const bearer = /"token":"(purser_at_[^"]+)"/.exec(text)?.[1] ?? ''
        for (const { name, ...job } of await casesFor(count, bearer, admin, entries)) {
          const {
            rate,
            p50,
            p99,
            serverMicros,
            databaseMicros = 0,
          } = await measure({
            ...job,
            warmUp: Math.floor(job.requests.length / 4),
          })
          const micros = serverMicros + databaseMicros
          const empty = before.get(name) ?? { rate, p99, micros }
          if (entries === 0) before.set(name, empty)
          const ratio = (value: number, reference: number): string => (value / reference).toFixed(2)
          say(
            `  ${name.padEnd(30)} ${Math.round(rate).toLocaleString('en').padStart(7)}/s (${ratio(rate, empty.rate)})  ` +
              `p50 ${p50.toFixed(1)} ms  p99 ${p99.toFixed(1)} ms (${ratio(p99, empty.p99)})  ` +
              `CPU ${Math.round(micros)} µs (${ratio(micros, empty.micros)})`,
          )
        }
      })
    }
  } finally {
    await postgres.stop()
  }
}
