/** The measured server: started once for registration, and again for the measurement. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startOwnPostgres } from '../test/support/postgres.ts'
import { audience } from './issuing.ts'
import type { LoadJob, LoadResult } from './load.ts'
import { type Server, childrenOf, cpuMicros, freeDatabase, freePort, load, startServer } from './processes.ts'
import { register } from './register.ts'

type Postgres = Awaited<ReturnType<typeof startOwnPostgres>>

export type Serving = {
  dataDir: string
  port: number
  roots: string
  /** Of PostgreSQL. */
  databaseUrl?: string
  /** The admin's API token. */
  admin: string
  /** Until every worker was ready. */
  startSeconds: number
  /** The processes that serve. */
  workerPids: () => number[]
  /** Runs a load. The result includes the CPU of the server's processes and of Postgres for each counted request. */
  measure: (
    job: Omit<LoadJob, 'host' | 'port' | 'roots'>,
  ) => Promise<LoadResult & { serverMicros: number; databaseMicros?: number }>
}

const common = (dataDir: string, port: number): Record<string, string> => ({
  PURSER_TRUST_DOMAIN: 'bench.example',
  PURSER_PUBLIC_URL: audience,
  PURSER_LISTEN: `127.0.0.1:${port}`,
  PURSER_DATA_DIR: dataDir,
  PURSER_LIMIT_ADDRESS_PER_SECOND: '1000000',
  PURSER_LIMIT_ATTESTOR_PER_SECOND: '1000000',
  PURSER_LOG_LEVEL: 'info',
})

type Options = {
  postgres?: Postgres
  workers: number
  tls: boolean
  profile?: string
  /** Further settings. */
  env?: Record<string, string>
  /** Adds to the database before the measured start. */
  fill?: (url: string) => Promise<void>
}

export async function serving(
  { postgres, workers, tls, profile, fill, env: more = {} }: Options,
  work: (serving: Serving) => Promise<void>,
): Promise<void> {
  const port = await freePort()
  const dataDir = await mkdtemp(join(tmpdir(), 'purser-bench-'))
  const env = {
    ...common(dataDir, port),
    ...more,
    ...(postgres && {
      DATABASE_URL: await freeDatabase(postgres.url, `bench_${process.pid}_${Date.now()}`),
      PURSER_MIGRATE: 'auto',
      PURSER_ROOT_KEY: Buffer.alloc(32, 1).toString('base64'),
    }),
  }
  let ready = 0
  const isReady = (line: string): boolean => line.includes('"server.ready"') && ++ready >= workers
  let server: Server | undefined
  try {
    const registration = await startServer(env, (line) => line.includes('"server.ready"'))
    const roots = await readFile(join(dataDir, 'ca.pem'), 'utf8')
    const admin = await register({ port, roots, dataDir })
    await registration.stop()
    if (env.DATABASE_URL !== undefined) await fill?.(env.DATABASE_URL)
    const began = performance.now()
    const plain = tls ? {} : { PURSER_INSECURE_HTTP: 'loopback' }
    const profiling = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]
    const running = await startServer({ ...env, ...plain, PURSER_WORKERS: String(workers) }, isReady, profiling)
    server = running
    await work({
      dataDir,
      port,
      roots,
      ...(env.DATABASE_URL !== undefined && { databaseUrl: env.DATABASE_URL }),
      admin,
      startSeconds: (performance.now() - began) / 1000,
      workerPids: () => (workers === 1 ? [running.pid] : childrenOf(running.pid)),
      async measure(job) {
        let [cpu, dbCpu] = [0, 0]
        const result = await load({ host: '127.0.0.1', port, ...(tls && { roots }), ...job }, () => {
          cpu = cpuMicros(running.pid)
          dbCpu = postgres ? cpuMicros(postgres.pid()) : 0
        })
        if (result.failed > 0) throw new Error(`${result.failed} requests failed; the first: ${result.first}`)
        const counted = job.requests.length - job.warmUp
        return {
          ...result,
          serverMicros: (cpuMicros(running.pid) - cpu) / counted,
          ...(postgres && { databaseMicros: (cpuMicros(postgres.pid()) - dbCpu) / counted }),
        }
      },
    })
  } finally {
    await server?.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}
