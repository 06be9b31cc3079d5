/**
 * The only HTTP client, for URLs that operators configure and that issuers publish (docs/architecture.md, Outbound
 * calls). It connects by https to the resolved address that it checked, without redirects, proxies, cookies or
 * credentials of its own, bounded in time and size.
 */
import { lookup } from 'node:dns'
import type { LookupAddress } from 'node:dns'
import { Agent as PlainAgent, request as plainRequest } from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, RequestOptions } from 'node:http'
import { Agent, request as tlsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import { JsonError, parseStrict } from '../json/strict.ts'
import type { JsonLimits } from '../json/strict.ts'
import { OutboundError } from './errors.ts'
import { exchange } from './exchange.ts'
import type { Reply } from './exchange.ts'
import { covers, isListed, outOfReach, parseAllow, readTarget } from './target.ts'
import type { Reach, Target } from './target.ts'

export type FetchOptions = {
  /**
   * True where an operator named this very URL for a place that may lie inside the network (a cluster's API server):
   * private and loopback addresses are in reach. False for an issuer, and for what its documents point to: public
   * addresses only. Link-local, metadata and other special addresses are reached through PURSER_FETCH_ALLOW alone.
   */
  configured: boolean
  method?: 'GET' | 'POST' | 'PUT'
  /**
   * All that is sent beside `host`, `content-length`, `accept-encoding`, `connection` and `user-agent`, which are ours.
   */
  headers?: Readonly<Record<string, string>>
  body?: string | Uint8Array
  /** Of the answer's body; 262,144 unless given. */
  maxBytes?: number
  /** For everything from the name's resolution to the last byte; 5,000 unless given. */
  timeoutMs?: number
  /** PEM certificates that are trusted in place of the system's roots. */
  caPem?: string
  signal?: AbortSignal
}

export type JsonReply = { status: number; headers: IncomingHttpHeaders; json: unknown }

export type Outbound = {
  /** @throws OutboundError, and nothing else */
  fetchBytes(url: string, options: FetchOptions): Promise<Reply>
  /**
   * The same, and the body read as strict JSON (5,000 members; large integers are rounded unless `json` says otherwise).
   * @throws OutboundError, `bad_body` where it isn't that
   */
  fetchJson(url: string, options: FetchOptions & { json?: JsonLimits }): Promise<JsonReply>
  /** Whether PURSER_FETCH_ALLOW lists the place of a URL. False for what is no URL. */
  allows(url: string): boolean
  /** Closes idle connections. */
  close(): void
}

/** All addresses of a name, as `dns.lookup` answers. */
export type Resolve = (host: string, callback: (error: Error | null, answers: LookupAddress[]) => void) => void

const ours = new Set(['host', 'content-length', 'transfer-encoding', 'accept-encoding', 'connection', 'user-agent'])
const idleMs = 4000

const systemResolve: Resolve = (host, callback) => {
  lookup(host, { all: true, verbatim: true }, callback)
}

/**
 * @param parts `allow` is PURSER_FETCH_ALLOW, see `parseAllow`; `resolve` the system's resolver unless given
 * @throws OutboundError for an entry of `allow` that can't be read
 */
export function createOutbound(parts: { allow: readonly string[]; resolve?: Resolve }): Outbound {
  const rules = parts.allow.map(parseAllow)
  const resolve = parts.resolve ?? systemResolve
  // A kept connection is used again only for requests of the same reach. Agents already keep private roots apart.
  // No TLS session is kept: a resumed one would not look at the certificate again.
  const pool = { keepAlive: true, timeout: idleMs, maxSockets: 64, maxFreeSockets: 8 }
  const agents: Record<Reach, Agent> = {
    public: new Agent({ ...pool, maxCachedSessions: 0 }),
    inside: new Agent({ ...pool, maxCachedSessions: 0 }),
    any: new Agent({ ...pool, maxCachedSessions: 0 }),
  }
  const plain = new PlainAgent(pool)

  async function fetchBytes(url: string, options: FetchOptions): Promise<Reply> {
    const target = readTarget(url, options.configured, rules)
    const requestOptions: RequestOptions = {
      method: options.method ?? 'GET',
      headers: requestHeaders(options),
      lookup: checkedLookup(target, resolve),
      maxHeaderSize: 16_384,
      agent: target.url.protocol === 'https:' ? agents[target.reach] : plain,
    }
    const start = (agent: RequestOptions['agent']): ClientRequest => {
      if (target.url.protocol === 'http:') return plainRequest(target.url, { ...requestOptions, agent })
      const ca = options.caPem === undefined ? {} : { ca: options.caPem }
      return tlsRequest(target.url, {
        ...requestOptions,
        agent,
        ...ca,
        rejectUnauthorized: true,
        minVersion: 'TLSv1.2',
      })
    }
    const limit = deadline(options.timeoutMs ?? 5000, options.signal)
    try {
      return await exchange(
        start,
        requestOptions.agent,
        { body: options.body, maxBytes: options.maxBytes ?? 262_144 },
        limit.signal,
      )
    } finally {
      limit.clear()
    }
  }

  return {
    fetchBytes,
    async fetchJson(url, options) {
      const { status, headers, body } = await fetchBytes(url, options)
      try {
        return {
          status,
          headers,
          json: parseStrict(body, { maxMembers: 5000, largeIntegers: 'round', ...options.json }),
        }
      } catch (error) {
        throw new OutboundError(
          'bad_body',
          `the answer is not strict JSON${error instanceof JsonError ? ` (${error.code})` : ''}`,
        )
      }
    },
    allows: (url) => isListed(rules, url),
    close() {
      for (const agent of [...Object.values(agents), plain]) agent.destroy()
    },
  }
}

function requestHeaders(options: FetchOptions): Record<string, string | number> {
  const headers: Record<string, string | number> = { 'user-agent': 'purser', 'accept-encoding': 'identity' }
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (ours.has(name.toLowerCase())) throw new OutboundError('bad_request', `the header ${name} is not the caller's`)
    headers[name] = value
  }
  if (options.body !== undefined) headers['content-length'] = Buffer.byteLength(options.body)
  return headers
}

/** Resolves a name once, looks at every answer, and hands over those very addresses to connect to (DNS rebinding). */
function checkedLookup(target: Target, resolve: Resolve): LookupFunction {
  return (host, options, callback) => {
    resolve(host, (error, answers) => {
      // With an error there are no answers at all, whatever the types of node:dns say.
      if (error !== null) return callback(error, '')
      const [first] = answers
      if (first === undefined || !covers(target.reach, addressesOf(answers))) callback(outOfReach(host), '')
      else if (options.all) callback(null, answers)
      else callback(null, first.address, first.family)
    })
  }
}

const addressesOf = (answers: readonly LookupAddress[]): string[] => answers.map(({ address }) => address)

function deadline(timeoutMs: number, outer: AbortSignal | undefined): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  const timer = setTimeout(() => {
    controller.abort(new OutboundError('timeout', `no complete answer within ${String(timeoutMs)} ms`))
  }, timeoutMs)
  const onOuter = (): void => {
    controller.abort(new OutboundError('aborted', 'given up by the caller'))
  }
  if (outer?.aborted) onOuter()
  else outer?.addEventListener('abort', onOuter, { once: true })
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer)
      outer?.removeEventListener('abort', onOuter)
    },
  }
}
