/**
 * The only HTTP client, for URLs that operators configure and that issuers publish (docs/architecture.md, Outbound
 * calls). It connects by https to the resolved address that it checked, without redirects, proxies, cookies or
 * credentials of its own, bounded in time and size.
 */
import { type LookupAddress, lookup } from 'node:dns'
import { Agent as PlainAgent, request as plainRequest } from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, RequestOptions } from 'node:http'
import { Agent, request as tlsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import { type JsonLimits, JsonError, parseStrict } from '../json/strict.ts'
import { OutboundError } from './errors.ts'
import { type Reply, exchange } from './exchange.ts'
import { type Reach, type Target, covers, isListed, outOfReach, parseAllow, readTarget } from './target.ts'

export type FetchOptions = {
  /**
   * True for a URL that an operator configured for a target inside the network, such as the API server of a cluster:
   * private and loopback addresses are allowed. False for an issuer and the URLs in its documents: public addresses only.
   * Link-local, metadata and other special addresses need PURSER_FETCH_ALLOW.
   */
  configured: boolean
  method?: 'GET' | 'POST' | 'PUT'
  /** Sent beside `host`, `content-length`, `accept-encoding`, `connection` and `user-agent`, which this client sets. */
  headers?: Readonly<Record<string, string>>
  body?: string | Uint8Array
  /** Maximum size of the reply's body, 262,144 by default. */
  maxBytes?: number
  /** Time limit from the resolution of the name to the last byte, 5,000 by default. */
  timeoutMs?: number
  /** PEM certificates that replace the system's roots. */
  caPem?: string
  signal?: AbortSignal
}

export type JsonReply = { status: number; headers: IncomingHttpHeaders; json: unknown }

export type Outbound = {
  /** @throws OutboundError, and nothing else */
  fetchBytes(url: string, options: FetchOptions): Promise<Reply>
  /**
   * Fetches and parses strict JSON (by default 5,000 members, and large integers are rounded).
   * @throws OutboundError, `bad_body` for other content
   */
  fetchJson(url: string, options: FetchOptions & { json?: JsonLimits }): Promise<JsonReply>
  /** Whether PURSER_FETCH_ALLOW lists the host of a URL. False for an invalid URL. */
  allows(url: string): boolean
  /** Closes idle connections. */
  close(): void
}

/** Resolves a name to all of its addresses, as `dns.lookup` does. */
export type Resolve = (host: string, callback: (error: Error | null, answers: LookupAddress[]) => void) => void

const reservedHeaders = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'accept-encoding',
  'connection',
  'user-agent',
])
const idleMs = 4000

const systemResolve: Resolve = (host, callback) => {
  lookup(host, { all: true, verbatim: true }, callback)
}

/**
 * @param parts `allow` is PURSER_FETCH_ALLOW, see `parseAllow`; `resolve` defaults to the system's resolver
 * @throws OutboundError for an invalid entry of `allow`
 */
export function createOutbound(parts: { allow: readonly string[]; resolve?: Resolve }): Outbound {
  const rules = parts.allow.map(parseAllow)
  const resolve = parts.resolve ?? systemResolve
  // A kept connection is reused only for requests of the same reach. Agents already separate private roots.
  // TLS sessions are not cached: a resumed session would not verify the certificate again.
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
    if (reservedHeaders.has(name.toLowerCase()))
      throw new OutboundError('bad_request', `the header ${name} is not the caller's`)
    headers[name] = value
  }
  if (options.body !== undefined) headers['content-length'] = Buffer.byteLength(options.body)
  return headers
}

/** Resolves a name once, checks every address, and connects to exactly these addresses (DNS rebinding). */
function checkedLookup(target: Target, resolve: Resolve): LookupFunction {
  return (host, options, callback) => {
    resolve(host, (error, answers) => {
      // With an error, `answers` is undefined despite the types of node:dns.
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
    controller.abort(new OutboundError('aborted', 'aborted by the caller'))
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
