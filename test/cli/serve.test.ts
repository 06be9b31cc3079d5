/** `purser serve` as a process: a failed start ends it, and leaves nothing behind that blocks others. */
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { start } from '../../src/start/server.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { excludeServers } from '../../src/store/database-server.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { testDatabase } from '../support/database.ts'
import { copyEmbedded } from '../support/embedded-template.ts'
import { startTestServer } from '../support/test-server.ts'
import { type PurserProcess, spawnPurser } from '../support/process.ts'
import { audience, trustDomain } from '../support/purser.ts'
import { runShell } from '../support/shell.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'purser-serve-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A port of 127.0.0.1 where another process listens. */
async function takenPort(): Promise<string> {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void other.close())
  return `127.0.0.1:${(other.address() as AddressInfo).port}`
}

async function postgres(): Promise<Record<string, string>> {
  const { url, drop } = await testDatabase()
  onTestFinished(drop)
  return { DATABASE_URL: url, PURSER_ROOT_KEY: Buffer.alloc(32, 7).toString('base64') }
}

const settings = (env: Record<string, string>): Record<string, string> => ({
  PURSER_TRUST_DOMAIN: trustDomain,
  PURSER_PUBLIC_URL: audience,
  PURSER_LISTEN: '127.0.0.1:0',
  PURSER_DRAIN_SECONDS: '1',
  ...env,
})

const serve = (env: Record<string, string>): PurserProcess =>
  spawnPurser(['serve'], settings({ PURSER_DATA_DIR: folder(), ...env }))

describe('a root key in a folder that others may write to', () => {
  async function withRootKey(mode: number): Promise<PurserProcess> {
    const [dir, dataDir] = [folder(), folder()]
    const path = join(dir, 'root-key')
    writeFileSync(path, Buffer.alloc(32, 7).toString('base64'), { mode: 0o600 })
    chmodSync(dir, mode)
    await copyEmbedded(join(dataDir, 'db'))
    return serve({ PURSER_ROOT_KEY_FILE: path, PURSER_DATA_DIR: dataDir })
  }

  it('is refused, with the remedy', async () => {
    const purser = await withRootKey(0o777)
    expect((await purser.ended).code).not.toBe(0)
    expect(purser.err()).toMatch(/other users may write in it \(mode 0777\)\. chown the folder, and chmod go-w it/)
  })

  it('is accepted with a warning for a group, as on a Kubernetes volume with fsGroup', async () => {
    const purser = await withRootKey(0o2775)
    const [line] = await purser.says('root-key.folder')
    expect(line).toMatchObject({
      level: 'warn',
      note: expect.stringContaining('other users may write in it (mode 2775)'),
    })
    await purser.says('server.ready')
  })
})

describe('a failed start', () => {
  it.each(['1', '2'])('on a port in use ends the process, with %s worker(s) on Postgres', async (workers) => {
    const purser = serve({ ...(await postgres()), PURSER_LISTEN: await takenPort(), PURSER_WORKERS: workers })
    expect(await purser.ended).toEqual({ code: 1, signal: null })
    expect(purser.err()).toMatch(/^purser: (listen|bind) EADDRINUSE/)
  })

  it('on a port in use ends the process and frees the folder of the embedded store', async () => {
    const dataDir = folder()
    await copyEmbedded(join(dataDir, 'db'))
    const purser = serve({ PURSER_DATA_DIR: dataDir, PURSER_LISTEN: await takenPort() })
    expect(await purser.ended).toEqual({ code: 1, signal: null })
    expect(purser.err()).toBe(`purser: ${/listen EADDRINUSE.*/.exec(purser.err())?.[0]}\n`)
    expect(purser.out()).toMatch(/"step":"listeners".*"event":"server.start_failed"/)
    expect(readdirSync(join(dataDir, 'db'))).toEqual(['database'])
  })

  it.each([
    ['operators', 'PURSER_ADMIN_LISTEN', '1'],
    ['metrics', 'PURSER_METRICS_LISTEN', '1'],
    ['metrics beside two workers', 'PURSER_METRICS_LISTEN', '2'],
  ])('at the listener for %s closes the earlier ones', async (_, name, workers) => {
    const purser = serve({ ...(await postgres()), [name]: await takenPort(), PURSER_WORKERS: workers })
    expect(await purser.ended).toEqual({ code: 1, signal: null })
    expect(purser.err()).toContain('purser: listen EADDRINUSE')
  })

  it.each(['1', '2'])(
    'without an answer of the database in time ends with exit code 5, with %s worker(s)',
    async (workers) => {
      const unreachable = 'postgres://purser:hunter2@127.0.0.1:1/x'
      const env = { ...(await postgres()), DATABASE_URL: unreachable, PURSER_DATABASE_WAIT_SECONDS: '1' }
      const purser = serve({ ...env, PURSER_WORKERS: workers })
      expect((await purser.ended).code).toBe(5)
      expect(purser.err()).toBe(
        "purser: the database can't be reached (ECONNREFUSED): check DATABASE_URL, or run `purser doctor`\n",
      )
      expect(purser.out() + purser.err()).not.toContain('hunter2')
    },
  )

  it('on a database that refuses a statement prints its message, and not the statement', async () => {
    const { DATABASE_URL: url = '', ...env } = await postgres()
    const db = openPostgres({ url })
    await db.knex.raw('drop table log_head cascade')
    await db.close()
    const purser = serve({ ...env, DATABASE_URL: url, PURSER_MIGRATE: 'check' })
    expect((await purser.ended).code).toBe(1)
    expect(purser.err()).toBe('purser: relation "log_head" does not exist\n')
    expect(purser.out()).toMatch(/"step":"store".*"event":"server.start_failed"/)
  })

  it('leaves no connection, lock or listener in a surviving process', async () => {
    const store = await postgres()
    const dataDir = folder()
    const usedPort = await takenPort()
    const env = settings({ ...store, PURSER_DATA_DIR: dataDir, PURSER_ADMIN_LISTEN: usedPort, PURSER_MIGRATE: 'check' })
    const config = readConfig({ env, readFile: () => '' })
    const lines: string[] = []
    const log = createLogger({ level: 'info', stream: { write: (line: string) => lines.push(line) } })
    const before = process.getActiveResourcesInfo().filter((resource) => resource === 'TCPServerWrap').length
    await expect(start(config, { log })).rejects.toThrow('EADDRINUSE')
    expect(process.getActiveResourcesInfo().filter((resource) => resource === 'TCPServerWrap')).toHaveLength(before)
    expect(lines.filter((line) => line.includes('close_failed'))).toEqual([])

    const db = openPostgres({ url: store['DATABASE_URL'] ?? '' })
    onTestFinished(() => db.close())
    expect(await db.knex.transaction((tx) => excludeServers(tx))).toBe(true)
    const others = await db
      .knex('pg_stat_activity')
      .whereRaw('datname = current_database() and pid <> pg_backend_pid()')
      .select('query')
    expect(others).toEqual([])
  })
})

/** Process ids. */
async function workersOf({ child }: PurserProcess): Promise<number[]> {
  const { out } = await runShell('ps', ['-axo', 'pid=,ppid=,args='])
  return out
    .split('\n')
    .map((line) => /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? [])
    .filter(([, , parent, args]) => Number(parent) === child.pid && args?.includes('main.mjs'))
    .map(([, pid]) => Number(pid))
}

it('waits for a database that is down at its start', async () => {
  const own = await startTestServer()
  onTestFinished(() => own.stop())
  await own.stopHard()
  const key = Buffer.alloc(32, 7).toString('base64')
  const purser = serve({ DATABASE_URL: own.url, PURSER_ROOT_KEY: key, PURSER_MIGRATE: 'auto' })
  await purser.says('store.unreachable')
  await own.start()
  await purser.says('server.ready')
})

describe('a server of several workers', () => {
  it('replaces a worker that dies later, and ends with 0 after SIGTERM', async () => {
    const purser = serve({ ...(await postgres()), PURSER_WORKERS: '2' })
    const ready = await purser.says('server.ready', 2)
    const [worker] = await workersOf(purser)
    process.kill(worker ?? 0, 'SIGKILL')
    const [died] = await purser.says('worker.died')
    expect(ready.map((line) => line['worker'])).toContain(died?.['worker'])
    await purser.says('server.ready', 3)
    purser.child.kill('SIGTERM')
    expect(await purser.ended).toEqual({ code: 0, signal: null })
    expect(purser.err()).toBe('')
  })
})
