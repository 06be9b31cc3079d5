/**
 * `npm run bench`: recorded issuances over kept connections, beside what bounds them in the same run: signing in this
 * process and a bare Express reply. Machines are noisy: read ratios, not the last digit.
 */
import { parseArgs } from 'node:util'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { bareExpress, signingRate } from './ceilings.ts'
import { startup } from './startup.ts'
import { type Alg, type What, makeRequests } from './issuing.ts'
import { printRow, printTitle } from './print.ts'
import { login, secretCases } from './secrets.ts'
import { port, serving } from './serving.ts'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workers: { type: 'string', default: '2' },
    only: { type: 'string' },
    match: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (flags.help) {
  process.stdout.write(
    'npm run bench -- [--quick] [--workers 2] [--only postgres|embedded|secrets|ceilings|startup] [--match PATTERN] [--profile DIR]\n  --quick    a minute instead of several\n  --match    only the issuances whose name the pattern matches\n  --profile  also write a CPU profile of each server into DIR\n',
  )
  process.exit(0)
}

type Case = {
  store: 'postgres' | 'embedded'
  workers: number
  tls: boolean
  connections: number
  what: What
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
    what: 'x509',
    fresh: false,
    alg: 'ES256',
  }
  const main: Case[] = [full, { ...full, alg: 'RS256' }, { ...full, what: 'jwt' }, { ...full, what: 'both' }]
  if (flags.quick) return [...main, { ...full, store: 'embedded', workers: 1 }]
  return [
    ...main,
    { ...full, workers: 1 },
    { ...full, tls: false },
    { ...full, fresh: true },
    ...[1, 16].flatMap((connections) =>
      (['x509', 'jwt', 'both'] as const).map((what) => ({ ...full, connections, what })),
    ),
    ...(['x509', 'jwt', 'both'] as const).map((what) => ({ ...full, store: 'embedded' as const, workers: 1, what })),
    { ...full, store: 'embedded', workers: 1, connections: 1 },
    { ...full, store: 'embedded', workers: 1, tls: false },
  ]
}

const count = flags.quick ? 8_000 : 16_000
/** The main cases last half a minute: a server that has just been started compiles as it goes. */
function perCase({ connections, store }: Case): number {
  if (connections === 1) return count / 4
  return !flags.quick && store === 'postgres' && connections === 64 ? 4 * count : count
}
const profile = flags.profile === undefined ? {} : { profile: flags.profile }

/** On a Postgres of its own, which is gone afterwards. */
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
    for (const one of group) {
      const requests = await makeRequests(perCase(one), one.what, one.fresh, one.alg)
      const warmUp = Math.floor(requests.length / 4)
      printRow(nameOf(one), await measure({ connections: one.connections, requests, warmUp }))
    }
  })
}

const nameOf = (one: Case): string =>
  `${one.store} ${one.workers}w ${one.tls ? 'TLS' : 'plain'} ${one.connections}c ${one.what}${one.fresh ? ' fresh CSR' : ''}${one.alg === 'RS256' ? ' RS256 proof' : ''}`

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

/** Cases that share a server run on it one after the other. */
function grouped(list: Case[]): Case[][] {
  const groups = new Map<string, Case[]>()
  for (const one of list) {
    const key = `${one.store} ${one.workers} ${one.tls}`
    groups.set(key, [...(groups.get(key) ?? []), one])
  }
  return [...groups.values()]
}

const wanted = (part: string): boolean => flags.only === undefined || flags.only === part

if (wanted('ceilings')) {
  printTitle('Ceilings, one process')
  signingRate()
  await bareExpress(flags.quick ? 4_000 : 12_000)
}
if (wanted('postgres') || wanted('embedded')) printTitle('Recorded issuances, each request with a token of its own')
for (const group of grouped(cases())) {
  const store = group[0]?.store
  if (store === 'postgres' && wanted(store)) await withPostgres((postgres) => issuances(group, postgres))
  if (store === 'embedded' && wanted(store)) await issuances(group)
}
if (wanted('secrets')) {
  printTitle('Secrets on Postgres over TLS, each read recorded')
  await secrets()
}
if (wanted('startup')) {
  printTitle('Startup on the embedded store, a process for each')
  await serving({ workers: 1, tls: true }, ({ dataDir }) => startup(port, dataDir, flags.quick ? 20 : 100))
}
