/**
 * `npm run bench`: measures recorded issuances over kept connections, and their upper bounds on the same machine: signing
 * in one process, and bare Express replies. Results are noisy, so compare ratios.
 */
import { parseArgs } from 'node:util'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { bareExpress, signingRate } from './ceilings.ts'
import { startup } from './startup.ts'
import { type Alg, type Credentials, makeRequests } from './issuing.ts'
import { logBench } from './log/main.ts'
import { storage } from './log/storage.ts'
import { anyAddress, logins } from './logins.ts'
import { comparePair } from './pairs.ts'
import { comparePeers } from './peers.ts'
import { printRow, printTitle } from './print.ts'
import { scale } from './scale.ts'
import { login, secretCases } from './secrets.ts'
import { serving } from './serving.ts'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workers: { type: 'string', default: '2' },
    only: { type: 'string' },
    match: { type: 'string' },
    profile: { type: 'string' },
    scale: { type: 'string' },
    log: { type: 'string' },
    plans: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    pair: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (flags.help) {
  process.stdout.write(
    'npm run bench -- [--quick] [--workers 2] [--scale 100,10000] [--log 100000,1000000 [--plans]] [--peers] [--pair DIR] [--only postgres|embedded|secrets|logins|ceilings|startup|storage] [--match PATTERN] [--profile DIR]\n  --quick    a minute instead of several\n  --match    only the issuances, or cases of --pair, whose name the pattern matches\n  --scale    only measure at these numbers of entries, with ten times as many secrets and revoked certificates\n  --log      only search, prove, revoke, export and verify beside logs of these numbers of entries; 10,000,000 take 50 GB of disk\n  --plans    with the query plans of the questions\n  --peers    only compare with OpenBao and SPIRE, whose binaries BAO_BIN and SPIRE_SERVER_BIN name; needs Go\n  --pair     only compare with the built clone in DIR, case by case in short turns\n  --profile  also write a CPU profile of each server into DIR\n',
  )
  process.exit(0)
}

type Case = {
  store: 'postgres' | 'embedded'
  workers: number
  tls: boolean
  connections: number
  credentials: Credentials
  fresh: boolean
  alg: Alg
}

const cases = (): Case[] => allCases().filter((testCase) => new RegExp(flags.match ?? '').test(nameOf(testCase)))

function allCases(): Case[] {
  const workers = Number(flags.workers)
  const full: Case = {
    store: 'postgres',
    workers,
    tls: true,
    connections: 64,
    credentials: 'x509',
    fresh: false,
    alg: 'ES256',
  }
  const main: Case[] = [
    full,
    { ...full, alg: 'RS256' },
    { ...full, credentials: 'jwt' },
    { ...full, credentials: 'both' },
  ]
  if (flags.quick) return [...main, { ...full, store: 'embedded', workers: 1 }]
  return [
    ...main,
    { ...full, workers: 1 },
    { ...full, tls: false },
    { ...full, fresh: true },
    ...[1, 16].flatMap((connections) =>
      (['x509', 'jwt', 'both'] as const).map((credentials) => ({ ...full, connections, credentials })),
    ),
    ...(['x509', 'jwt', 'both'] as const).map((credentials) => ({
      ...full,
      store: 'embedded' as const,
      workers: 1,
      credentials,
    })),
    { ...full, store: 'embedded', workers: 1, connections: 1 },
    { ...full, store: 'embedded', workers: 1, tls: false },
  ]
}

const count = flags.quick ? 8_000 : 16_000
/** The main cases last half a minute, since a new server still compiles its code. */
function perCase({ connections, store }: Case): number {
  if (connections === 1) return count / 4
  return !flags.quick && store === 'postgres' && connections === 64 ? 4 * count : count
}
const profile = flags.profile === undefined ? {} : { profile: flags.profile }

/** Runs `work` with its own Postgres, which is removed afterwards. */
async function withPostgres(
  work: (postgres: Awaited<ReturnType<typeof startOwnPostgres>>) => Promise<void>,
): Promise<void> {
  const postgres = await startOwnPostgres()
  try {
    await work(postgres)
  } finally {
    await postgres.stop()
  }
}

async function issuances(group: Case[], postgres?: Awaited<ReturnType<typeof startOwnPostgres>>): Promise<void> {
  const [first] = group
  if (!first) return
  const { workers, tls } = first
  await serving({ workers, tls, ...profile, ...(postgres && { postgres }) }, async ({ measure }) => {
    for (const testCase of group) {
      const { credentials, fresh, alg, connections } = testCase
      const requests = await makeRequests(perCase(testCase), credentials, fresh, alg)
      const warmUp = Math.floor(requests.length / 4)
      printRow(nameOf(testCase), await measure({ connections, requests, warmUp }))
    }
  })
}

const nameOf = ({ store, workers, tls, connections, credentials, fresh, alg }: Case): string =>
  `${store} ${workers}w ${tls ? 'TLS' : 'plain'} ${connections}c ${credentials}${fresh ? ' fresh CSR' : ''}${alg === 'RS256' ? ' RS256 proof' : ''}`

async function secrets(): Promise<void> {
  await withPostgres((postgres) =>
    serving({ postgres, workers: Number(flags.workers), tls: true, ...profile }, async ({ measure, admin }) => {
      const { text } = await measure({ connections: 1, requests: [await login(), await login()], warmUp: 1 })
      const bearer = /"token":"(purser_at_[^"]+)"/.exec(text)?.[1] ?? ''
      for (const { name, ...job } of await secretCases(count, bearer, admin)) {
        printRow(name, await measure({ ...job, warmUp: Math.floor(job.requests.length / 4) }))
      }
    }),
  )
}

/** Groups cases that can share a server. */
function grouped(list: Case[]): Case[][] {
  const groups = new Map<string, Case[]>()
  for (const testCase of list) {
    const key = `${testCase.store} ${testCase.workers} ${testCase.tls}`
    groups.set(key, [...(groups.get(key) ?? []), testCase])
  }
  return [...groups.values()]
}

const isSelected = (part: string): boolean => flags.only === undefined || flags.only === part

if (flags.scale !== undefined) {
  const sizes = flags.scale.split(',').map(Number)
  await scale(sizes, Number(flags.workers), flags.quick ? { count: 4_000, rounds: 1 } : { count: 8_000, rounds: 3 })
  process.exit(0)
}

if (flags.log !== undefined) {
  await logBench(flags.log.split(',').map(Number), flags.plans)
  process.exit(0)
}

if (flags.peers) {
  await comparePeers(Number(flags.workers), flags.quick ? 1 : 3, flags.quick ? 4 : 8)
  process.exit(0)
}

if (flags.pair !== undefined) {
  const rounds = flags.quick ? 30 : 100
  await comparePair(flags.pair, { workers: Number(flags.workers), rounds, match: new RegExp(flags.match ?? '') })
  process.exit(0)
}

if (flags.only === 'storage') {
  await storage(flags.quick ? 4_000 : 20_000)
  process.exit(0)
}

if (isSelected('ceilings')) {
  printTitle('Ceilings, one process')
  signingRate()
  await bareExpress(flags.quick ? 4_000 : 12_000)
}
if (isSelected('postgres') || isSelected('embedded')) printTitle('Recorded issuances, each request with its own token')
for (const group of grouped(cases())) {
  const store = group[0]?.store
  if (store === 'postgres' && isSelected(store)) await withPostgres((postgres) => issuances(group, postgres))
  if (store === 'embedded' && isSelected(store)) await issuances(group)
}
if (isSelected('secrets')) {
  printTitle('Secrets on Postgres over TLS, each read recorded')
  await secrets()
}
if (isSelected('logins')) {
  printTitle('Logins with a password, on Postgres over TLS')
  const size = flags.quick ? { tries: 60, count: 400, rounds: 1 } : { tries: 150, count: 1_200, rounds: 3 }
  await withPostgres((postgres) =>
    serving({ postgres, workers: Number(flags.workers), tls: true, env: anyAddress }, (served) => logins(served, size)),
  )
}
if (isSelected('startup')) {
  printTitle('Startup on the embedded store, a process for each')
  await serving({ workers: 1, tls: true }, ({ dataDir, port }) => startup(port, dataDir, flags.quick ? 20 : 100))
}
