/**
 * `npm run bench -- --peers`: Purser, OpenBao and SPIRE on one machine, with one load client (bench/peers/, in Go). The
 * peers take turns at each job, so that a machine that gets slower or faster changes no ratio.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { audience, issuer, issuerKeys } from './issuing.ts'
import { startOpenBao } from './peers/openbao.ts'
import { startSpire } from './peers/spire.ts'
import { printTitle } from './print.ts'
import { secretPaths } from './register.ts'
import { serving } from './serving.ts'

const run = promisify(execFile)
const client = fileURLToPath(new URL('peers', import.meta.url))

type Peer = 'purser' | 'openbao' | 'spire'
type Job = { name: string; title: string; connections: number; peers: Peer[] }

const jobs: Job[] = [
  { name: 'x509', title: 'X.509', connections: 64, peers: ['purser', 'openbao', 'spire'] },
  { name: 'jwt', title: 'JWT', connections: 64, peers: ['purser', 'spire'] },
  { name: 'startup', title: 'startup: certificate, three secrets', connections: 64, peers: ['purser', 'openbao'] },
  { name: 'startup', title: 'startup', connections: 16, peers: ['purser', 'openbao'] },
  { name: 'read', title: 'secret reads', connections: 64, peers: ['purser', 'openbao'] },
  { name: 'write', title: 'secret writes, new paths', connections: 16, peers: ['purser', 'openbao'] },
]

/** One measurement of the client; milliseconds. */
type Result = { rate: number; p50: number; p99: number; errors: number; firstError?: string }

export type PeerSettings = { address: string; roots?: string; operator?: string }

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** Where the environment names the binaries. */
function binaries(): { bao: string; spire: string } {
  const { BAO_BIN: bao, SPIRE_SERVER_BIN: spire } = process.env
  if (!bao || !spire)
    throw new Error(
      'set BAO_BIN and SPIRE_SERVER_BIN to the binaries of OpenBao and of the SPIRE server (docs/performance.md says how to build them)',
    )
  return { bao, spire }
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** @param seconds of each measurement */
export async function comparePeers(workers: number, rounds: number, seconds: number): Promise<void> {
  const { bao, spire } = binaries()
  const folder = await mkdtemp(join(tmpdir(), 'purser-peers-'))
  const stops: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
  try {
    const load = join(folder, 'load')
    await run('go', ['build', '-o', load, '.'], { cwd: client })
    const postgres = await startOwnPostgres()
    stops.unshift(() => postgres.stop())
    const shared = {
      issuer,
      audience,
      issuerKey: issuerKeys.ES256.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      spiffeId: 'spiffe://bench.example/bench/web',
      paths: secretPaths.slice(0, 3),
    }

    const openbao = await startOpenBao(bao, folder, postgres.url)
    stops.unshift(openbao.stop)
    const minting = await startSpire(spire, folder, postgres.url)
    stops.unshift(minting.stop)

    await serving({ postgres, workers, tls: true }, async ({ port, roots, admin }) => {
      const settings: Record<Peer, PeerSettings> = {
        purser: { address: `https://127.0.0.1:${port}`, roots, operator: admin },
        openbao: openbao.settings,
        spire: minting.settings,
      }
      for (const [peer, own] of Object.entries(settings))
        await writeFile(join(folder, `${peer}.json`), JSON.stringify({ ...shared, ...own }), { mode: 0o600 })

      printTitle(`Peers: ${rounds} rounds of ${seconds} s, the median of each`)
      for (const job of jobs) {
        const results = new Map<Peer, Result[]>()
        for (let round = 0; round < rounds; round++) {
          for (const peer of job.peers) {
            const flags = ['-peer', peer, '-job', job.name, '-settings', join(folder, `${peer}.json`)]
            const { stdout } = await run(load, [...flags, '-c', String(job.connections), '-d', `${seconds}s`])
            const result = JSON.parse(stdout) as Result
            if (result.errors > 0)
              throw new Error(`${peer}, ${job.title}: ${result.errors} errors: ${result.firstError}`)
            results.set(peer, [...(results.get(peer) ?? []), result])
          }
        }
        printJob(job, results)
      }
    })
  } finally {
    for (const stop of stops) await stop()
  }
}

/** Ratios are Purser's rate to that of the peer, by round. */
function printJob({ title, connections }: Job, results: Map<Peer, Result[]>): void {
  const own = results.get('purser') ?? []
  for (const [peer, list] of results) {
    const rate = Math.round(median(list.map((result) => result.rate)))
    const p50 = median(list.map((result) => result.p50))
    const p99 = median(list.map((result) => result.p99))
    const ratio = median(list.map((result, round) => (own[round]?.rate ?? 0) / result.rate))
    say(
      `  ${`${title} ${connections}c`.padEnd(40)} ${peer.padEnd(8)} ${rate.toLocaleString('en').padStart(7)}/s  ` +
        `p50 ${p50.toFixed(1).padStart(6)} ms  p99 ${p99.toFixed(1).padStart(6)} ms` +
        (peer === 'purser' ? '' : `  Purser: ${ratio.toFixed(2)}`),
    )
  }
}
