/** The transport between clients and the server in memory: no socket, but lost answers, outages and forced refusals. */
import type { Answer, Request } from '../connection/http.ts'
import type { OpenRequest, Streamed } from '../connection/open-stream.ts'
import type { Streams, Transport, createTransport } from '../connection/transport.ts'
import { PurserError } from '../errors.ts'
import { createClosing } from '../time/closing.ts'
import { withDeadline } from '../time/deadline.ts'
import { isObject } from '../verify/canonical.ts'
import { Refusal, type RefusalCode } from './refusal.ts'
import type { Handled, Server } from './server.ts'

/** A request and its outcome. It holds no token, key or proof. */
export type TestRequest = {
  at: Date
  method: string
  /** Without a query. */
  path: string
  /** The kind of credential that authenticated the request; undefined without any. */
  by: 'jwt' | 'join-token' | 'certificate' | 'access-token' | undefined
  /** The selection of a request for credentials; undefined for any other request. */
  requested: { x509: boolean; jwts: string[]; accessToken: boolean; databases: string[] } | undefined
  /** The verified caller. */
  spiffeId: string | undefined
  /** 0 if the client got no answer. */
  status: number
  /** The log's reason of a refusal (docs/errors.md), also if the client sees only `attestation_failed`. */
  reason: string | undefined
  requestId: string | undefined
}

type ForcedRefusal = { code: RefusalCode; retryAfterSeconds: number | undefined; times: number }

const credentialsPath = '/api/v1/credentials'

export function createNetwork(server: Server) {
  const requests: TestRequest[] = []
  let outage: 'unreachable' | 'silent' | undefined
  let answersToLose = 0
  let forced: ForcedRefusal | undefined

  function forcedRefusal({ path }: Request): Refusal | undefined {
    if (!forced || path !== credentialsPath) return undefined
    const { code, retryAfterSeconds } = forced
    forced.times--
    if (forced.times <= 0) forced = undefined
    return new Refusal(code, { retryAfterSeconds })
  }

  function note(request: Request, status: number, handled: Partial<Handled> = {}): void {
    const { reason, spiffeId, requestId } = handled
    const path = request.path.replace(/\?.*/, '')
    const { method } = request
    requests.push({ at: new Date(), method, path, ...summaryOf(request), spiffeId, status, reason, requestId })
  }

  async function send(request: Request, origin: string): Promise<Answer> {
    await Promise.resolve()
    if (outage) {
      note(request, 0)
      if (outage === 'unreachable') throw unreachable(origin)
      request.onSent?.()
      return new Promise(() => undefined)
    }
    request.onSent?.()
    const result = server.handle(request, forcedRefusal(request))
    const isLost = answersToLose > 0 && request.path === credentialsPath
    note(request, isLost ? 0 : result.answer.status, result)
    if (!isLost) return result.answer
    answersToLose--
    throw new PurserError('incomplete', `${origin} closed the connection during its answer (loseAnswers)`)
  }

  const unreachable = (origin: string): PurserError =>
    new PurserError('unreachable', `${origin} can't be reached (it is away)`)

  async function open(openRequest: OpenRequest, signal: AbortSignal, origin: string): Promise<Answer | Streamed> {
    await Promise.resolve()
    const request = { ...openRequest, method: 'GET' } as const
    if (outage) {
      note(request, 0)
      throw unreachable(origin)
    }
    let spiffeId: string | undefined
    try {
      const { chunks, end } = server.open(openRequest, (id) => (spiffeId = id))
      signal.addEventListener('abort', () => end(), { once: true })
      if (signal.aborted) end()
      note(request, 200, { spiffeId })
      return { status: 200, headers: { 'content-type': 'text/event-stream' }, chunks }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const result = server.handle(request, error)
      note(request, result.answer.status, result)
      return result.answer
    }
  }

  /** Replaces `createTransport` for one client. @param onClose called when that client is closed */
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
    away(kind: 'unreachable' | 'silent'): void {
      outage = kind
      server.cutAll(new PurserError('incomplete', 'the server closed the connection (it is away)'))
    },
    loseAnswers: (times: number): void => void (answersToLose = times),
    refuse(code: RefusalCode, more: { times?: number; retryAfterSeconds?: number }): void {
      forced = { code, retryAfterSeconds: more.retryAfterSeconds, times: more.times ?? Infinity }
    },
    back(): void {
      outage = undefined
      forced = undefined
      answersToLose = 0
    },
  }
}

function summaryOf({ path, body, as, bearer }: Request): Pick<TestRequest, 'by' | 'requested'> {
  const by = bearer !== undefined ? 'access-token' : as ? 'certificate' : undefined
  if (path !== credentialsPath) return { by, requested: undefined }
  const json: unknown = JSON.parse(body ?? '{}')
  const { proof, x509, jwts, accessToken, databases } = isObject(json) ? json : {}
  const kind = isObject(proof) ? proof.kind : undefined
  const audiences = Array.isArray(jwts) ? jwts.flatMap((jwt) => (isObject(jwt) ? [jwt.audience] : [])) : []
  return {
    by: kind === 'jwt' || kind === 'join-token' ? kind : by,
    requested: {
      x509: x509 !== undefined,
      jwts: audiences.flat().map(String),
      accessToken: accessToken !== undefined,
      databases: Array.isArray(databases) ? databases.map(String) : [],
    },
  }
}
