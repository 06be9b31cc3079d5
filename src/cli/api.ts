/** The command's client of the native API: one verified TLS connection, JSON both ways, refusals as words. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { version } from '../version.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { type Problem, refusalOf } from './problem.ts'
import { setting } from './settings.ts'
import { createWire, jsonOf, textOf } from './wire.ts'

export type ServerFlags = { addr?: string; caFile?: string; caSha256?: string }

type Call = {
  query?: Record<string, string | number | undefined>
  body?: unknown
  headers?: Record<string, string>
  /** Another bearer token than PURSER_API_TOKEN; null for what anyone may read. */
  token?: string | null
}

type ApiReply<T> = {
  status: number
  headers: IncomingHttpHeaders
  /** JSON; an empty object where the reply has no body. */
  body: T
}

type Page<T> = { items: T[]; nextCursor: string | null }

export type Api = {
  /** Where the server is, without a slash at the end. */
  url: string
  /** @throws CliError with exit code `refused`, `unreachable` or `failed` */
  call<T>(method: string, path: string, more?: Call): Promise<ApiReply<T>>
  /** The same for a reply that is read piece by piece. */
  open(method: string, path: string, more?: Call): Promise<IncomingMessage>
  /** Every item of a list, page after page. */
  all<T>(path: string, query?: Call['query'], token?: string): Promise<T[]>
  close(): void
}

export const defaultAddr = 'https://127.0.0.1:8443'

/** Names in a path are sent as they are only where they can't end or leave their segment. */
export const segment = (name: string): string => encodeURIComponent(name)

/** Nothing is sent before the first call, and nothing on a connection that isn't verified. */
export function createApi(io: Pick<Io, 'env' | 'readFile'>, flags: ServerFlags = {}): Api {
  const addr = setting(io, 'PURSER_ADDR', flags.addr) ?? defaultAddr
  const wire = createWire({ addr, env: trustOf(io, flags) })

  function bearer(token: Call['token']): Record<string, string> {
    if (token === null) return {}
    const found = token ?? setting(io, 'PURSER_API_TOKEN')
    if (!found) {
      throw new CliError(
        'set PURSER_API_TOKEN (or PURSER_API_TOKEN_FILE); `purser bootstrap` makes the first one',
        exitCodes.usage,
      )
    }
    if (!/^[!-~]+$/.test(found)) throw new CliError('PURSER_API_TOKEN is not one token', exitCodes.usage)
    return { authorization: `Bearer ${found}` }
  }

  async function open(method: string, path: string, more: Call = {}): Promise<IncomingMessage> {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(more.query ?? {})) {
      if (value !== undefined) query.set(name, String(value))
    }
    const payload = more.body === undefined ? undefined : Buffer.from(JSON.stringify(more.body))
    const reply = await wire.send({
      method,
      path: query.size === 0 ? path : `${path}?${query.toString()}`,
      headers: {
        accept: 'application/json, application/problem+json, */*',
        'user-agent': `purser-cli/${version}`,
        ...(payload && { 'content-type': 'application/json', 'content-length': String(payload.length) }),
        ...bearer(more.token),
        ...more.headers,
      },
      ...(payload && { payload }),
    })
    const status = reply.statusCode ?? 0
    if (status >= 200 && status < 300) return reply
    throw refusalOf(problemIn(await textOf(reply)), status)
  }

  async function call<T>(method: string, path: string, more: Call = {}): Promise<ApiReply<T>> {
    const reply = await open(method, path, more)
    // The server is verified, so an object that it sends is taken to be what openapi.yaml says.
    const isDescribed = (value: unknown): value is T => isObject(value)
    const body = jsonOf(await textOf(reply))
    if (!isDescribed(body)) throw new CliError(`${addr} did not answer with JSON: is it a Purser?`)
    return { status: reply.statusCode ?? 0, headers: reply.headers, body }
  }

  return {
    url: addr,
    call,
    open,
    async all<T>(path: string, query: Call['query'] = {}, token?: string) {
      const items: T[] = []
      let cursor: string | null = null
      do {
        const more: Call = {
          query: { limit: 200, ...query, cursor: cursor ?? undefined },
          ...(token !== undefined && { token }),
        }
        const page: Page<T> = (await call<Page<T>>('GET', path, more)).body
        items.push(...page.items)
        cursor = page.nextCursor
      } while (cursor !== null)
      return items
    },
    close: () => wire.close(),
  }
}

/** The environment as the SDK's rules read it; a flag stands before both variables. */
function trustOf(
  io: Pick<Io, 'env' | 'readFile'>,
  { caFile, caSha256 }: ServerFlags,
): Record<string, string | undefined> {
  if (caFile !== undefined || caSha256 !== undefined) return { PURSER_CA_FILE: caFile, PURSER_CA_SHA256: caSha256 }
  return { PURSER_CA_FILE: setting(io, 'PURSER_CA_FILE'), PURSER_CA_SHA256: setting(io, 'PURSER_CA_SHA256') }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

function problemIn(text: string): Problem {
  const value = jsonOf(text)
  return isObject(value) ? value : {}
}

/** Runs `work` with a client, and lets go of its connections. */
export async function withApi<T>(
  io: Pick<Io, 'env' | 'readFile'>,
  flags: ServerFlags,
  work: (api: Api) => Promise<T>,
): Promise<T> {
  const api = createApi(io, flags)
  try {
    return await work(api)
  } finally {
    api.close()
  }
}

/** For `If-Match`, where the caller names no revision: the one that is there now. */
export const liveRevision = async (api: Pick<Api, 'call'>, path: string): Promise<number> =>
  (await api.call<{ revision: number }>('GET', path)).body.revision
