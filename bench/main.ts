/**
 * `npm run bench`: recorded issuances over kept connections, beside what bounds them in the same run: signing in this
 * process and a bare Express reply. Machines are noisy: read ratios, not the last digit.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { bareExpress, signingRate } from './ceilings.ts'
import { startup } from './startup.ts'
import { type What, audience, makeRequests, register } from './issuing.ts'
import { cpuMicros, load, startServer } from './processes.ts'
import { printRow, printTitle } from './print.ts'

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    workers: { type: 'string', default: '2' },
    only: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (flags.help) {
  process.stdout.write(
    'npm run bench -- [--quick] [--workers 2] [--only postgres|embedded|ceilings|startup] [--profile DIR]\n  --quick    a minute instead of several\n  --profile  also write a CPU profile of each server into DIR\n',
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
}

function cases(): Case[] {
  const workers = Number(flags.workers)
  const full: Case = { store: 'postgres', workers, tls: true, connections: 64, what: 'x509', fresh: false }
  const main: Case[] = [full, { ...full, what: 'jwt' }, { ...full, what: 'both' }]
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

const port = 18_743
const pause = flags.quick ? 8_000 : 16_000
const perCase = ({ connections }: Case): number => (connections === 1 ? pause / 4 : pause)

const common = (dataDir: string): Record<string, string> => ({
  PURSER_TRUST_DOMAIN: 'bench.example',
  PURSER_PUBLIC_URL: audience,
  PURSER_LISTEN: `127.0.0.1:${port}`,
  PURSER_DATA_DIR: dataDir,
  PURSER_LIMIT_ADDRESS_PER_SECOND: '1000000',
  PURSER_LIMIT_ATTESTOR_PER_SECOND: '1000000',
  PURSER_LOG_LEVEL: 'info',
})

async function measureStartup(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'purser-bench-'))
  const server = await startServer(common(dataDir), (line) => line.includes('"server.ready"'))
  try {
    await register({ port, roots: await readFile(join(dataDir, 'ca.pem'), 'utf8'), dataDir })
    await startup(port, dataDir, flags.quick ? 20 : 100)
  } finally {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function measure(
  group: Case[],
  postgres: Awaited<ReturnType<typeof startOwnPostgres>> | undefined,
): Promise<void> {
  const [first] = group
  if (!first) return
  const dataDir = await mkdtemp(join(tmpdir(), 'purser-bench-'))
  const env = {
    ...common(dataDir),
    PURSER_WORKERS: String(first.workers),
    ...(postgres && {
      DATABASE_URL: await freshDatabase(postgres.url),
      PURSER_MIGRATE: 'auto',
      PURSER_ROOT_KEY: Buffer.alloc(32, 1).toString('base64'),
    }),
  }
  let ready = 0
  const isReady = (line: string): boolean => line.includes('"server.ready"') && ++ready >= first.workers
  const registration = await startServer({ ...env, PURSER_WORKERS: '1' }, (line) => line.includes('"server.ready"'))
  await register({ port, roots: await readFile(join(dataDir, 'ca.pem'), 'utf8'), dataDir })
  await registration.stop()
  const plain = first.tls ? {} : { PURSER_INSECURE_HTTP: 'loopback' }
  const profiling = flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${flags.profile}`]
  const server = await startServer({ ...env, ...plain }, isReady, profiling)
  const roots = await readFile(join(dataDir, 'ca.pem'), 'utf8')
  try {
    for (const one of group) {
      const count = perCase(one)
      const requests = await makeRequests(count, one.what, one.fresh)
      let [cpu, dbCpu] = [0, 0]
      const result = await load(
        {
          host: '127.0.0.1',
          port,
          ...(one.tls && { roots }),
          connections: one.connections,
          requests,
          warmUp: Math.floor(count / 4),
        },
        () => {
          cpu = cpuMicros(server.pid)
          dbCpu = postgres ? cpuMicros(postgres.pid()) : 0
        },
      )
      const counted = count - Math.floor(count / 4)
      printRow({
        ...one,
        ...result,
        serverMicros: (cpuMicros(server.pid) - cpu) / counted,
        ...(postgres && { databaseMicros: (cpuMicros(postgres.pid()) - dbCpu) / counted }),
      })
      if (result.failed > 0) throw new Error(`${result.failed} requests failed; the first: ${result.first}`)
    }
  } finally {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function freshDatabase(url: string): Promise<string> {
  const { default: pg } = await import('pg')
  const name = `bench_${process.pid}_${Date.now()}`
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`create database ${name}`)
  await client.end()
  const made = new URL(url)
  made.pathname = `/${name}`
  return made.toString()
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

if (flags.only === undefined || flags.only === 'ceilings') {
  printTitle('Ceilings, one process')
  signingRate()
  await bareExpress(flags.quick ? 4_000 : 12_000)
}
printTitle('Recorded issuances, each request with a token of its own')
for (const group of grouped(cases())) {
  const store = group[0]?.store
  if (flags.only !== undefined && flags.only !== store) continue
  const postgres = store === 'postgres' ? await startOwnPostgres() : undefined
  try {
    await measure(group, postgres)
  } finally {
    await postgres?.stop()
  }
}
if (flags.only === undefined || flags.only === 'startup') {
  printTitle('Startup on the embedded store, a process for each')
  await measureStartup()
}
