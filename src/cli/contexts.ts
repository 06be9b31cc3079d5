/**
 * The servers that a person logs in to, with the session at each: `~/.config/purser/config.json`, mode 0600. JSON, since
 * every verb reads the file, and loading a YAML parser takes longer than most verbs.
 */
import { statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isMembers } from '../json/members.ts'
import { createFileStore } from './files.ts'
import { CliError, type Io, codeOf, usageError } from './io.ts'

export type Context = {
  /** The address of the server. */
  addr: string
  caFile?: string
  caSha256?: string
  operator?: string
  /** Of the session. It is sent to `addr` alone. */
  token?: string
  expiresAt?: string
}

export type Contexts = { current?: string; contexts: Record<string, Context> }

type Place = Pick<Io, 'env' | 'readFile'>

const file = 'config.json'

/** Undefined without a home. */
function folderOf({ env }: Pick<Io, 'env'>): { home: string; folder: string } | undefined {
  const home = env.XDG_CONFIG_HOME || (env.HOME && join(env.HOME, '.config'))
  return home ? { home, folder: join(home, 'purser') } : undefined
}

/** @throws CliError for a file that others can read, or that is not valid */
export function readContexts(io: Place): Contexts {
  const place = folderOf(io)
  if (!place) return { contexts: {} }
  const path = join(place.folder, file)
  let text: string
  try {
    text = io.readFile(path)
    if ((statSync(path).mode & 0o077) !== 0) throw usageError(`${path} is open to other users: run chmod 600 ${path}`)
  } catch (error) {
    if (error instanceof CliError) throw error
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return { contexts: {} }
    throw usageError(`can't read ${path} (${codeOf(error) ?? 'unknown'})`)
  }
  return parse(text, path)
}

function parse(text: string, path: string): Contexts {
  const fault = usageError(`${path} is damaged: remove it, and run \`purser login\` again`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw fault
  }
  if (!isContexts(value)) throw fault
  return value
}

const isContexts = (value: unknown): value is Contexts =>
  isMembers(value) &&
  (value['current'] === undefined || typeof value['current'] === 'string') &&
  isMembers(value['contexts']) &&
  Object.values(value['contexts']).every((context) => isMembers(context) && typeof context['addr'] === 'string')

export async function writeContexts(io: Place, contexts: Contexts): Promise<void> {
  const place = folderOf(io)
  if (!place) throw usageError('there is no place for the session: set HOME')
  await mkdir(place.home, { recursive: true, mode: 0o700 })
  const text = `${JSON.stringify(contexts, null, 2)}\n`
  await createFileStore(place.folder).write([{ name: file, text, what: 'contexts' }])
}

/**
 * The context in use. None where another server is named: its roots and its token are for its own server.
 * @param addr the address that a flag or variable names
 */
export function currentContext(io: Place, addr: string | undefined): (Context & { name: string }) | undefined {
  const { current, contexts } = readContexts(io)
  const context = current === undefined ? undefined : contexts[current]
  if (current === undefined || !context) return undefined
  return addr === undefined || addr === context.addr ? { ...context, name: current } : undefined
}
