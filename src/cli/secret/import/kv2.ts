/** Reads a KV version 2 mount of Vault or OpenBao through its HTTP API, as far as the token permits. */
import { type RequestOptions, request as plain } from 'node:http'
import { request as overTls } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { isMembers } from '../../../json/members.ts'
import { JsonError, parseStrict } from '../../../json/strict.ts'
import { CliError, exitCodes, usageError } from '../../io.ts'
import { textOf } from '../../wire.ts'
import type { Data, Source } from './source.ts'

export type Kv2Options = {
  addr: string
  mount: string
  /** Only secrets below this path. */
  prefix: string
  token: string
  namespace?: string
  /** Roots to trust in place of the system's, PEM. */
  ca?: string
  retryAfterMs?: number
}

type VaultReply = { status: number; body: unknown }

const timeoutMs = 30_000
const maxTries = 5
/** Levels of folders: Vault has no limit. */
const maxDepth = 64

const encodePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

/** @throws CliError for an address to which the token must not be sent */
function endpointOf(addr: string): URL {
  const url = URL.canParse(addr) ? new URL(addr) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.search || url.hash || url.pathname !== '/') {
    throw usageError('--from-vault must be an address such as https://vault.example.org:8200')
  }
  const isHere = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'http:' && !isHere)
    throw usageError('--from-vault must be https, since it carries the token and every value')
  return url
}

export function kv2(options: Kv2Options): Source {
  const { token, namespace, ca, retryAfterMs = 1000 } = options
  const url = endpointOf(options.addr)
  const mount = options.mount.replace(/^\/+|\/+$/g, '')
  const prefix = options.prefix.replace(/^\/+|\/+$/g, '')
  if (!/^[!-~]+$/.test(token)) throw usageError('the token of Vault is not a single token')
  const headers = {
    'x-vault-token': token,
    'x-vault-request': 'true',
    ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
  }

  async function once(path: string): Promise<VaultReply & { wait: number }> {
    const reply = await new Promise<Parameters<typeof textOf>[0]>((resolve, reject) => {
      const options: RequestOptions = {
        method: 'GET',
        path: `/v1/${path}`,
        host: hostOf(url),
        port: portOf(url),
        headers,
      }
      // Set explicitly, so that NODE_TLS_REJECT_UNAUTHORIZED cannot disable it.
      const verified = { rejectUnauthorized: true, ...(ca !== undefined && { ca }) }
      const outgoing = url.protocol === 'https:' ? overTls({ ...options, ...verified }) : plain(options)
      outgoing.once('response', resolve)
      outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error('timeout')))
      outgoing.once('error', (error: Error & { code?: string }) => {
        const problem = `Vault at ${url.origin} cannot be reached or verified (${error.code ?? error.message})`
        const message = `${problem}: run the import again, which continues where it stopped`
        reject(isBroken(error.code) ? new Broken(message) : new CliError(message, exitCodes.unreachable))
      })
      outgoing.end()
    })
    const text = await textOf(reply)
    const status = reply.statusCode ?? 0
    const wait = Number(reply.headers['retry-after'])
    return { status, body: status < 400 || status === 404 ? read(text) : undefined, wait: wait > 0 ? wait * 1000 : 0 }
  }

  /** @throws CliError when Vault refuses, or does not answer after several tries */
  async function fetch(path: string): Promise<VaultReply> {
    for (let tries = 1; ; tries++) {
      const reply = await once(path).catch((error: unknown) => {
        // The server may have closed a kept connection; a read can be repeated.
        if (error instanceof Broken && tries < maxTries) return undefined
        throw error
      })
      if (!reply) continue
      const { status, wait } = reply
      if (status === 200 || status === 404) return reply
      const isPassing = status === 429 || status === 412 || (status >= 500 && status !== 501)
      if (isPassing && tries < maxTries) {
        await pause(Math.min(wait || retryAfterMs * 2 ** (tries - 1), 30_000))
        continue
      }
      if (status === 403) return reply
      throw new CliError(
        `Vault answered ${status} for ${mount}, so the import stopped: run it again`,
        exitCodes.unreachable,
      )
    }
  }

  /** @returns the names in a folder; subfolders end with a slash */
  async function list(folder: string): Promise<string[]> {
    const { status, body } = await fetch(
      `${encodePath(mount)}/metadata/${folder === '' ? '' : `${encodePath(folder)}/`}?list=true`,
    )
    if (status === 404) return []
    if (status === 403) throw deniedError(`list ${mount}/${folder}`)
    const keys = memberOf(memberOf(body, 'data'), 'keys')
    if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) throw notKv2(mount)
    return keys
  }

  async function* below(folder: string, depth: number): AsyncGenerator<string> {
    if (depth > maxDepth) throw new CliError(`${mount} has folders more than ${maxDepth} levels deep`)
    for (const key of await list(folder)) {
      const path = folder === '' ? key : `${folder}/${key}`
      if (key.endsWith('/')) yield* below(path.slice(0, -1), depth + 1)
      else yield path
    }
  }

  /** The readable versions, oldest first. */
  async function readable(name: string): Promise<number[]> {
    const { status, body } = await fetch(`${encodePath(mount)}/metadata/${encodePath(name)}`)
    if (status === 403) throw deniedError(`read the metadata of ${name}`)
    const versions = memberOf(memberOf(body, 'data'), 'versions')
    if (!isMembers(versions)) throw notKv2(mount)
    return Object.entries(versions)
      .filter(([, version]) => memberOf(version, 'destroyed') !== true && !isPast(memberOf(version, 'deletion_time')))
      .map(([number]) => Number(number))
      .sort((a, b) => a - b)
  }

  async function value(name: string, version?: number): Promise<Data | { refused: string }> {
    const query = version === undefined ? '' : `?version=${version}`
    const { status, body } = await fetch(`${encodePath(mount)}/data/${encodePath(name)}${query}`)
    if (status === 403) return { refused: 'the token of Vault may not read it' }
    const data = memberOf(memberOf(body, 'data'), 'data')
    if (status === 404) {
      const isThere = isMembers(memberOf(memberOf(body, 'data'), 'metadata'))
      return { refused: isThere ? 'its version was deleted or destroyed in Vault' : 'it no longer exists in Vault' }
    }
    return isMembers(data) ? { data } : { refused: 'its value is not an object' }
  }

  return {
    where: `${url.origin}/v1/${mount}`,
    async names() {
      const names: string[] = []
      for await (const name of below(prefix, 0)) names.push(name)
      return names
    },
    async values(name, all) {
      try {
        const versions = all ? await readable(name) : [undefined]
        const values: Data[] = []
        for (const version of versions) {
          const result = await value(name, version)
          if (isRefused(result)) return result
          if (isMembers(result.data)) values.push(result.data)
        }
        return values.length > 0 ? values : { refused: 'every version was deleted or destroyed in Vault' }
      } catch (error) {
        if (error instanceof JsonError)
          return { refused: `its value is not JSON that Purser can store (${error.code})` }
        throw error
      }
    },
  }
}

/** The connection broke during a request. */
class Broken extends CliError {
  constructor(message: string) {
    super(message, exitCodes.unreachable)
    this.name = 'Broken'
  }
}
const isBroken = (code: string | undefined): boolean => code === 'ECONNRESET' || code === 'EPIPE'

const isRefused = (result: object): result is { refused: string } => 'refused' in result

const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')
const portOf = (url: URL): number => (url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port))

/** Strict: a number that JSON readers disagree on would change, so it is refused. */
const read = (text: string): unknown =>
  text === '' ? undefined : parseStrict(text, { maxMembers: 1_000_000, maxDepth: 64 })

const memberOf = (value: unknown, name: string): unknown =>
  isMembers(value) && Object.hasOwn(value, name) ? value[name] : undefined

/** `delete_version_after` sets a time in the future, until which the version is readable. */
const isPast = (time: unknown): boolean => typeof time === 'string' && time !== '' && Date.parse(time) <= Date.now()

const deniedError = (what: string): CliError =>
  new CliError(`the token of Vault may not ${what}: give it read and list below the mount`, exitCodes.refused)
const notKv2 = (mount: string): CliError =>
  new CliError(`${mount} is not a KV version 2 mount: check --mount`, exitCodes.refused)
