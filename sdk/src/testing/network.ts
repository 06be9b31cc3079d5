/** Between clients and the Purser in this process: no socket, but what networks and busy servers do to a request. */
import { createClosing } from '../time/closing.ts'
import { withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import type { OpenRequest, Streamed } from '../connection/open-stream.ts'
import type { Streams, Transport, createTransport } from '../connection/transport.ts'
import { isObject } from '../verify/canonical.ts'
import { Refusal, type RefusalCode } from './refusal.ts'
import type { Handled, Server } from './server.ts'
import type { Request, Answer } from '../connection/http.ts'

/** One request as it was answered. Holds no token, key or proof. */
export type TestRequest = {
  at: Date
  method: string
  path: string
  /** What showed who asks; undefined where nothing did. */
  by: 'jwt' | 'join-token' | 'certificate' | 'access-token' | undefined
  /** Of credentials: what was asked for. */
  asked: { x509: boolean; jwts: string[]; accessToken: boolean; databases: string[] } | undefined
  /** Who it turned out to be. */
  spiffeId: string | undefined
  /** 0 where the client got no answer. */
  status: number
  /** Why it was refused, in the log's words (docs/errors.md): clients are told `attestation_failed` alone. */
  reason: string | undefined
  requestId: string | undefined
}

type Trouble = { code: RefusalCode; retryAfterSeconds: number | undefined; times: number }

export function createNetwork(server: Server) {
  const requests: TestRequest[] = []
  let away: 'unreachable' | 'silent' | undefined
  let lost = 0
  let trouble: Trouble | undefined

  function forced({ path }: Request): Refusal | undefined {
    if (!trouble || path !== '/api/v1/credentials') return undefined
    const { code, retryAfterSeconds } = trouble
    trouble.times--
    if (trouble.times <= 0) trouble = undefined
    return new Refusal(code, { retryAfterSeconds })
  }

  function note(request: Request, handled: Handled | undefined, status: number): void {
    const { reason, spiffeId, requestId } = handled ?? {}
    const { method, path } = request
    requests.push({ at: new Date(), method, path, ...wordsOf(request), spiffeId, status, reason, requestId })
  }

  async function send(request: Request, origin: string): Promise<Handled['answer']> {
    await Promise.resolve()
    if (away) {
      note(request, undefined, 0)
      if (away === 'unreachable') throw unreachable(origin)
      request.onSent?.()
      return new Promise(() => undefined)
    }
    request.onSent?.()
    const handled = server.handle(request, forced(request))
    const isLost = lost > 0 && request.path === '/api/v1/credentials'
    note(request, handled, isLost ? 0 : handled.answer.status)
    if (!isLost) return handled.answer
    lost--
    throw new PurserError('incomplete', `${origin} broke off in the middle of its answer`)
  }

  const unreachable = (origin: string): PurserError =>
    new PurserError('unreachable', `${origin} can't be reached (it is away)`)

  /** A watch: what is asked comes first as a refusal or not at all, and then event by event. */
  async function open(request: OpenRequest, signal: AbortSignal, origin: string): Promise<Answer | Streamed> {
    await Promise.resolve()
    const asked = { ...request, method: 'GET' } as const
    if (away) {
      note(asked, undefined, 0)
      throw unreachable(origin)
    }
    let spiffeId: string | undefined
    try {
      const { chunks, end } = server.open(request, (id) => (spiffeId = id))
      signal.addEventListener('abort', end, { once: true })
      if (signal.aborted) end()
      const path = request.path.replace(/\?.*/, '')
      const shown = { ...wordsOf(asked), spiffeId, status: 200, reason: undefined, requestId: undefined }
      requests.push({ at: new Date(), method: 'GET', path, ...shown })
      return { status: 200, headers: { 'content-type': 'text/event-stream' }, chunks }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const handled = server.handle(asked, error)
      note(asked, handled, handled.answer.status)
      return handled.answer
    }
  }

  /** In place of `createTransport`, for one client. @param onClose called when that client is closed */
  const transportFor =
    (onClose: () => void): typeof createTransport =>
    ({ address: { origin }, timeoutMs }): Transport & Streams => {
      const closing = createClosing()
      return {
        exchange: (request, signal) =>
          withDeadline(timeoutMs, [signal, closing.signal], `${request.method} ${origin}${request.path}`, () =>
            send(request, origin),
          ),
        open: (request, signal) => open(request, signal, origin),
        rest: () => undefined,
        close() {
          closing.abort(new PurserError('closed', 'this Purser client was closed'))
          onClose()
        },
      }
    }

  return {
    requests,
    transportFor,
    away(how: 'unreachable' | 'silent'): void {
      away = how
      server.cutAll(new PurserError('incomplete', 'it went away'))
    },
    loseAnswers(times: number): void {
      lost = times
    },
    refuse(code: RefusalCode, more: { times?: number; retryAfterSeconds?: number }): void {
      trouble = { code, retryAfterSeconds: more.retryAfterSeconds, times: more.times ?? Infinity }
    },
    back(): void {
      away = undefined
      trouble = undefined
      lost = 0
    },
  }
}

function wordsOf({ path, body, as, bearer }: Request): Pick<TestRequest, 'by' | 'asked'> {
  const shown = bearer !== undefined ? 'access-token' : as ? 'certificate' : undefined
  if (path !== '/api/v1/credentials') return { by: shown, asked: undefined }
  const json: unknown = JSON.parse(body ?? '{}')
  const { proof, x509, jwts, accessToken, databases } = isObject(json) ? json : {}
  const kind = isObject(proof) ? proof.kind : undefined
  const audiences = Array.isArray(jwts) ? jwts.flatMap((jwt) => (isObject(jwt) ? [jwt.audience] : [])) : []
  return {
    by: kind === 'jwt' || kind === 'join-token' ? kind : shown,
    asked: {
      x509: x509 !== undefined,
      jwts: audiences.flat().map(String),
      accessToken: accessToken !== undefined,
      databases: Array.isArray(databases) ? databases.map(String) : [],
    },
  }
}
