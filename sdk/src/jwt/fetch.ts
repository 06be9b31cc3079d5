/** `fetch` with a token for one audience, to the places that were named and to no other. */
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
  /** Another token than the one that was refused. */
  freshJwt: (audience: string, refused: string) => Promise<string>
  /** For the pause between replacements; no setting of the clock moves it. */
  elapsed?: () => number
}

const bad = (why: string): PurserError => new PurserError('bad_options', why)

/** A server that refuses every token must not make each request an issuance. */
const pauseMs = 10_000

/** @throws PurserError `bad_options` */
export function createFetch({ jwt, freshJwt, elapsed = elapsedMs }: Parts, options: FetchOptions): Fetch {
  const { audience, fetch = globalThis.fetch } = options
  if (typeof audience !== 'string' || audience === '') throw bad('fetch needs the audience that its token is for')
  const origins = originsOf(options.origins)
  let next: { at: number; token: Promise<string | undefined> } | undefined

  /** Another token than one that was refused as invalid; undefined where there is none. Requests at the same time share it. */
  async function tokenAfter(refused: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    if (!next || elapsed() - next.at >= pauseMs) {
      next = { at: elapsed(), token: freshJwt(audience, refused).catch(() => undefined) }
    }
    const { token } = next
    const other = await unlessAborted(signal, () => token)
    return other === refused ? undefined : other
  }

  return async (input, init) => {
    const { url, headers, redirect, signal, repeatable } = readRequest(input, init)
    // Not `url.origin`, which of a blob: URL is another's.
    if (!origins.has(`${url.protocol}//${url.host}`)) {
      throw bad(`the token for ${audience} is not sent to ${url.origin}, which is none of: ${[...origins].join(', ')}`)
    }
    if (headers.has('authorization')) {
      throw bad('the request has an Authorization header of its own; send it by another fetch')
    }
    const send = async (token: string): Promise<Response> => {
      const own = new Headers(headers)
      own.set('authorization', `Bearer ${token}`)
      // Followed by hand, which is not at all: the next place may be another than the one that was named.
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
    const other = await tokenAfter(token, signal)
    if (other === undefined) return answer
    await answer.body?.cancel().catch(() => undefined)
    return send(other)
  }
}

function originsOf(given: unknown): ReadonlySet<string> {
  if (!Array.isArray(given) || given.length === 0) throw bad('fetch needs origins: where the token may be sent')
  return new Set(given.map(originOf))
}

function originOf(given: unknown): string {
  const url = typeof given === 'string' && URL.canParse(given) ? new URL(given) : undefined
  const plain = url?.protocol === 'http:' && isLoopback(url.hostname.replace(/^\[(.*)\]$/, '$1'))
  if (!url || (url.protocol !== 'https:' && !plain)) {
    throw bad('an origin is https://host[:port]; plain http only to 127.0.0.0/8 or ::1')
  }
  if (url.href !== `${url.origin}/`) throw bad(`an origin has no path, query or user name: ${url.origin}`)
  return url.origin
}

const requestOf = (input: Input): Request | undefined =>
  typeof input === 'string' || input instanceof URL ? undefined : input

/** What is sent, by the rules of fetch: what `init` says counts before the request's own. */
function readRequest(input: Input, init: Init) {
  const request = requestOf(input)
  const text = typeof input === 'string' ? input : (request?.url ?? (input instanceof URL ? input.href : ''))
  if (!URL.canParse(text)) throw bad('fetch with a token needs a whole URL')
  const body: unknown = init?.body ?? request?.body
  return {
    url: new URL(text),
    headers: new Headers(init?.headers ?? request?.headers),
    redirect: init?.redirect ?? request?.redirect,
    signal: init?.signal ?? request?.signal,
    repeatable: isRepeatable(body),
  }
}

/** A stream is read once. */
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
