/** A KV version 2 mount of Vault or OpenBao, read through its HTTP API: what one token may list and read. */
import { type RequestOptions, request as plain } from 'node:http'
import { request as overTls } from 'node:https'
import { setTimeout as pause } from 'node:timers/promises'
import { isMembers } from '../../../json/members.ts'
import { JsonError, parseStrict } from '../../../json/strict.ts'
import { CliError, exitCodes } from '../../io.ts'
import { textOf } from '../../wire.ts'
import { usage } from '../place.ts'
import type { Data, Source } from './source.ts'

export type Kv2Options = {
  addr: string
  mount: string
  /** Only what is below it. */
  prefix: string
  token: string
  namespace?: string
  /** Roots to trust in place of the system's, PEM. */
  ca?: string
  retryAfterMs?: number
}

type Answer = { status: number; body: unknown }

const timeoutMs = 30_000
const maxTries = 5
/** Folders inside each other: Vault itself has no bound. */
const deepest = 64

const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

/** @throws CliError for an address that a token must not be sent to */
function endpointOf(addr: string): URL {
  const url = URL.canParse(addr) ? new URL(addr) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.search || url.hash || url.pathname !== '/') {
    throw usage('--from-vault must be an address such as https://vault.example.org:8200')
  }
  const isHere = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'http:' && !isHere)
    throw usage('--from-vault must be https: the token and every value go over it')
  return url
}

export function kv2(options: Kv2Options): Source {
  const { token, namespace, ca, retryAfterMs = 1000 } = options
  const url = endpointOf(options.addr)
  const mount = options.mount.replace(/^\/+|\/+$/g, '')
  const prefix = options.prefix.replace(/^\/+|\/+$/g, '')
  if (!/^[!-~]+$/.test(token)) throw usage('the token of Vault is not one token')
  const headers = {
    'x-vault-token': token,
    'x-vault-request': 'true',
    ...(namespace !== undefined && { 'x-vault-namespace': namespace }),
  }

  async function once(path: string): Promise<Answer & { wait: number }> {
    const reply = await new Promise<Parameters<typeof textOf>[0]>((resolve, reject) => {
      const asked: RequestOptions = {
        method: 'GET',
        path: `/v1/${path}`,
        host: hostOf(url),
        port: portOf(url),
        headers,
      }
      // Said outright: NODE_TLS_REJECT_UNAUTHORIZED must not switch it off.
      const verified = { rejectUnauthorized: true, ...(ca !== undefined && { ca }) }
      const sent = url.protocol === 'https:' ? overTls({ ...asked, ...verified }) : plain(asked)
      sent.once('response', resolve)
      sent.setTimeout(timeoutMs, () => sent.destroy(new Error('timeout')))
      sent.once('error', (error: Error & { code?: string }) => {
        const words = `Vault at ${url.origin} can't be reached or verified (${error.code ?? error.message})`
        const told = `${words}; what was imported stays, and a further run goes on there`
        reject(isBroken(error.code) ? new Broken(told) : new CliError(told, exitCodes.unreachable))
      })
      sent.end()
    })
    const text = await textOf(reply)
    const status = reply.statusCode ?? 0
    const wait = Number(reply.headers['retry-after'])
    return { status, body: status < 400 || status === 404 ? read(text) : undefined, wait: wait > 0 ? wait * 1000 : 0 }
  }

  /** @throws CliError where Vault refuses, or is not there after some tries */
  async function ask(path: string): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      const answer = await once(path).catch((error: unknown) => {
        // A connection that was kept may have ended on the other side; reading again is no harm.
        if (error instanceof Broken && tries < maxTries) return undefined
        throw error
      })
      if (!answer) continue
      const { status, wait } = answer
      if (status === 200 || status === 404) return answer
      const isPassing = status === 429 || status === 412 || (status >= 500 && status !== 501)
      if (isPassing && tries < maxTries) {
        await pause(Math.min(wait || retryAfterMs * 2 ** (tries - 1), 30_000))
        continue
      }
      if (status === 403) return answer
      throw new CliError(`Vault answered ${status} for ${mount}: nothing more was imported`, exitCodes.unreachable)
    }
  }

  /** @returns names below a folder, and its folders with a slash at their end */
  async function list(folder: string): Promise<string[]> {
    const { status, body } = await ask(
      `${encoded(mount)}/metadata/${folder === '' ? '' : `${encoded(folder)}/`}?list=true`,
    )
    if (status === 404) return []
    if (status === 403) throw denied(`list ${mount}/${folder}`)
    const keys = memberOf(memberOf(body, 'data'), 'keys')
    if (!Array.isArray(keys) || !keys.every((key) => typeof key === 'string')) throw notKv2(mount)
    return keys
  }

  async function* below(folder: string, depth: number): AsyncGenerator<string> {
    if (depth > deepest) throw new CliError(`${mount} has folders more than ${deepest} deep`)
    for (const key of await list(folder)) {
      const path = folder === '' ? key : `${folder}/${key}`
      if (key.endsWith('/')) yield* below(path.slice(0, -1), depth + 1)
      else yield path
    }
  }

  /** The numbers of versions that can still be read, oldest first. */
  async function readable(name: string): Promise<number[]> {
    const { status, body } = await ask(`${encoded(mount)}/metadata/${encoded(name)}`)
    if (status === 403) throw denied(`read the metadata of ${name}`)
    const versions = memberOf(memberOf(body, 'data'), 'versions')
    if (!isMembers(versions)) throw notKv2(mount)
    return Object.entries(versions)
      .filter(([, one]) => memberOf(one, 'destroyed') !== true && !isPast(memberOf(one, 'deletion_time')))
      .map(([number]) => Number(number))
      .sort((a, b) => a - b)
  }

  async function value(name: string, version?: number): Promise<Data | { refused: string }> {
    const query = version === undefined ? '' : `?version=${version}`
    const { status, body } = await ask(`${encoded(mount)}/data/${encoded(name)}${query}`)
    if (status === 403) return { refused: 'Vault does not let this token read it' }
    const data = memberOf(memberOf(body, 'data'), 'data')
    if (status === 404) {
      const isThere = isMembers(memberOf(memberOf(body, 'data'), 'metadata'))
      return { refused: isThere ? 'its version was deleted or destroyed there' : 'it is not there any more' }
    }
    return isMembers(data) ? { data } : { refused: 'its value is no object' }
  }

  return {
    where: `${url.origin}/v1/${mount}`,
    async names() {
      const found: string[] = []
      for await (const name of below(prefix, 0)) found.push(name)
      return found
    },
    async values(name, all) {
      try {
        const versions = all ? await readable(name) : [undefined]
        const found: Data[] = []
        for (const version of versions) {
          const one = await value(name, version)
          if (isRefused(one)) return one
          const { data } = one
          if (isMembers(data)) found.push(data)
        }
        return found.length > 0 ? found : { refused: 'every version was deleted or destroyed there' }
      } catch (error) {
        if (error instanceof JsonError) return { refused: `its value is no JSON that can be kept (${error.code})` }
        throw error
      }
    },
  }
}

/** A connection that ended while it was used. */
class Broken extends CliError {
  constructor(message: string) {
    super(message, exitCodes.unreachable)
    this.name = 'Broken'
  }
}
const isBroken = (code: string | undefined): boolean => code === 'ECONNRESET' || code === 'EPIPE'

const isRefused = (one: object): one is { refused: string } => 'refused' in one

const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')
const portOf = (url: URL): number => (url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port))

/** Numbers beyond what readers of JSON agree on would be another value here: refused, by name. */
const read = (text: string): unknown =>
  text === '' ? undefined : parseStrict(text, { maxMembers: 1_000_000, maxDepth: 64 })

const memberOf = (value: unknown, name: string): unknown =>
  isMembers(value) && Object.hasOwn(value, name) ? value[name] : undefined

/** An end in the future is `delete_version_after`: it can be read until then. */
const isPast = (time: unknown): boolean => typeof time === 'string' && time !== '' && Date.parse(time) <= Date.now()

const denied = (what: string): CliError =>
  new CliError(`Vault does not let this token ${what}: it needs read and list below the mount`, exitCodes.refused)
const notKv2 = (mount: string): CliError =>
  new CliError(`${mount} did not answer as a KV version 2 mount: is it one, and --mount its name?`, exitCodes.refused)
