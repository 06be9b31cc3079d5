/** `fetch` with a token for one audience, only to the named origins. */
import { isLoopback } from '../connection/address.ts'
import { unlessAborted } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import type { FetchOptions } from '../types/jwt.ts'
import { elapsedMs } from '../time/lifetime.ts'

type Fetch = typeof globalThis.fetch
type Input = Parameters<Fetch>[0]
type Init = Parameters<Fetch>[1]

type Parts = {
  jwt: (audience: string, options: { signal?: AbortSignal }) => Promise<string>
  /** Another token than the refused one. */
  freshJwt: (audience: string, refused: string) => Promise<string>
  /** Measures the pause between replacements. */
  elapsed?: () => number
}

const bad = (why: string): PurserError => new PurserError('bad_options', why)

/** Pause between replacements: a server that refuses every token must not cause an issuance at each request. */
const pauseMs = 10_000

/** @throws PurserError `bad_options` */
export function createFetch({ jwt, freshJwt, elapsed = elapsedMs }: Parts, options: FetchOptions): Fetch {
  const { audience, fetch = globalThis.fetch } = options
  if (typeof audience !== 'string' || audience === '') throw bad('fetch needs the audience of its token')
  const origins = originsOf(options.origins)
  let replacement: { at: number; token: Promise<string | undefined> } | undefined

  /** Another token than the refused one; undefined if there is none. Concurrent requests share it. */
  async function replacementFor(refused: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    if (!replacement || elapsed() - replacement.at >= pauseMs) {
      replacement = { at: elapsed(), token: freshJwt(audience, refused).catch(() => undefined) }
    }
    const { token } = replacement
    const next = await unlessAborted(signal, () => token)
    return next === refused ? undefined : next
  }

  return async (input, init) => {
    const { url, headers, redirect, signal, repeatable } = readRequest(input, init)
    // Not `url.origin`: a blob: URL has the origin of its creator.
    if (!origins.has(`${url.protocol}//${url.host}`)) {
      throw bad(`the token for ${audience} is not sent to ${url.origin}; allowed are ${[...origins].join(', ')}`)
    }
    if (headers.has('authorization')) {
      throw bad('the request has an Authorization header of its own; send it by another fetch')
    }
    const send = async (token: string): Promise<Response> => {
      const own = new Headers(headers)
      own.set('authorization', `Bearer ${token}`)
      // Redirects are not followed, since they may lead to another origin.
      const target = requestOf(input) ?? url
      const answer = await fetch(target, { ...init, headers: own, redirect: redirect === 'error' ? 'error' : 'manual' })
      if (redirect === 'manual' || !isRedirect(answer)) return answer
      await answer.body?.cancel().catch(() => undefined)
      throw new PurserError(
        'redirected',
        `${url.origin} answered ${answer.status}; with a token, redirects are not followed`,
      )
    }
    const token = await jwt(audience, { ...(signal && { signal }) })
    const answer = await send(token)
    if (!repeatable || answer.status !== 401 || !saysInvalidToken(answer)) return answer
    const next = await replacementFor(token, signal)
    if (next === undefined) return answer
    await answer.body?.cancel().catch(() => undefined)
    return send(next)
  }
}

function originsOf(origins: unknown): ReadonlySet<string> {
  if (!Array.isArray(origins) || origins.length === 0) throw bad('fetch needs origins: where the token may be sent')
  return new Set(origins.map(originOf))
}

function originOf(origin: unknown): string {
  const url = typeof origin === 'string' && URL.canParse(origin) ? new URL(origin) : undefined
  const plain = url?.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[(.*)\]$/, '$1'))
  if (!url || (url.protocol !== 'https:' && !plain)) {
    throw bad('an origin is https://host[:port]; plain http only to 127.0.0.0/8 or ::1')
  }
  if (url.href !== `${url.origin}/`) throw bad(`an origin has no path, query or user name: ${url.origin}`)
  return url.origin
}

const requestOf = (input: Input): Request | undefined =>
  typeof input === 'string' || input instanceof URL ? undefined : input

/** The request by the rules of fetch: `init` takes precedence. */
function readRequest(input: Input, init: Init) {
  const request = requestOf(input)
  const text = typeof input === 'string' ? input : (request?.url ?? (input instanceof URL ? input.href : ''))
  if (!URL.canParse(text)) throw bad('fetch with a token needs an absolute URL')
  const body: unknown = init?.body ?? request?.body
  return {
    url: new URL(text),
    headers: new Headers(init?.headers ?? request?.headers),
    redirect: init?.redirect ?? request?.redirect,
    signal: init?.signal ?? request?.signal,
    repeatable: isRepeatable(body),
  }
}

/** A stream can be read only once. */
const isRepeatable = (body: unknown): boolean =>
  body === undefined ||
  body === null ||
  typeof body === 'string' ||
  body instanceof ArrayBuffer ||
  ArrayBuffer.isView(body) ||
  body instanceof URLSearchParams ||
  body instanceof Blob ||
  body instanceof FormData

const isRedirect = ({ status, type }: Response): boolean =>
  type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(status)

/** RFC 6750 section 3.1. */
const saysInvalidToken = ({ headers }: Response): boolean =>
  /\berror="?invalid_token"?/i.test(headers.get('www-authenticate') ?? '')
