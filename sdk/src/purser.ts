/** What a program holds: the credentials as they are now. */
import type { Choice } from './choices.ts'
import { unlessAborted } from './deadline.ts'
import { PurserError } from './errors.ts'
import type { Credentials, FetchCredentials } from './fetch-credentials.ts'
import type { JwtReply } from './reply.ts'
import type { Receipt } from './verify/receipt.ts'

/** An X.509-SVID, ready for `https.createServer`, `tls.connect` or files. */
export type X509 = {
  /** PEM: leaf, then intermediates. */
  certificateChain: string
  /** PEM, PKCS #8. Made in this process unless the server was asked to make it. */
  privateKey: string
  /** PEM: the roots that peers of this trust domain are verified with. */
  trustBundle: string
  spiffeId: string
  /** Lower-case hex. */
  serialNumber: string
  notAfter: Date
  /** About half of the lifetime: when to get the next one. */
  renewAfter: Date
}

export type AccessToken = { token: string; id: string; expiresAt: Date }
export type Session = { id: string; expiresAt: Date }

/** A connected client. It holds no timer and no open connection between requests. */
export type Purser = {
  readonly spiffeId: string
  readonly workload: { readonly id: string; readonly name: string; readonly revision: number }
  readonly session: Session
  /** @throws PurserError `not_requested` after `connect({ x509: false })` */
  readonly x509: X509
  /** Of the newest request; undefined unless it was asked for. */
  readonly accessToken: AccessToken | undefined
  /** Proof that the newest request is in the log, verified. Undefined with `receipts: 'off'`, or where `warn` let one pass. */
  readonly receipt: Receipt | undefined
  /** What was found and what was passed over, in words for a person. */
  readonly chosen: readonly Choice[]
  /**
   * A JWT-SVID for one audience. Kept and given again until about half of its lifetime is over; then another request
   * gets the next one. Calls at the same time share a request.
   * @param options.signal gives up waiting
   * @throws PurserError a refusal, or what keeps Purser from being reached
   */
  jwt(audience: string, options?: { signal?: AbortSignal }): Promise<string>
  /** Ends what is under way. What was issued stays valid until its end. */
  close(): void
  /** For logs: who this is, and nothing secret. */
  toJSON(): { spiffeId: string; session: Session }
}

type Parts = {
  first: Credentials
  fetchCredentials: FetchCredentials
  chosen: readonly Choice[]
  close: () => void
  now: () => Date
}

/** A token that ends sooner is of no use to who receives it. */
const usableMs = 5000

/** Purser can't be reached or can't record now: what is held still does. A refusal is another matter. */
const isAway = (error: unknown): boolean =>
  error instanceof PurserError &&
  (['unreachable', 'timeout', 'incomplete'].includes(error.code) || error.status === 429 || (error.status ?? 0) >= 500)

export function createPurser({ first, fetchCredentials, chosen, close, now }: Parts): Purser {
  const closing = new AbortController()
  let newest = first
  const kept = new Map<string, JwtReply>()
  const underWay = new Map<string, Promise<string>>()
  const keep = (jwts: readonly JwtReply[]): void => {
    for (const jwt of jwts) kept.set(jwt.audience.join(' '), jwt)
  }
  keep(first.jwts)

  async function nextJwt(audience: string): Promise<string> {
    const given = await fetchCredentials({ jwts: [audience] }, closing.signal)
    newest = {
      ...newest,
      session: given.session,
      workload: given.workload,
      ...(given.receipt && { receipt: given.receipt }),
    }
    keep(given.jwts)
    const [jwt] = given.jwts
    if (!jwt) throw new PurserError('bad_reply', 'the server issued no JWT')
    return jwt.token
  }

  function shared(audience: string): Promise<string> {
    const asked = underWay.get(audience) ?? nextJwt(audience).finally(() => underWay.delete(audience))
    underWay.set(audience, asked)
    return asked
  }

  return {
    get spiffeId() {
      return newest.spiffeId
    },
    get workload() {
      return newest.workload
    },
    get session() {
      return newest.session
    },
    get x509() {
      if (!newest.x509)
        throw new PurserError('not_requested', 'no certificate was asked for: connect without x509: false')
      return { ...newest.x509, spiffeId: newest.spiffeId }
    },
    get accessToken() {
      return newest.accessToken
    },
    get receipt() {
      return newest.receipt
    },
    chosen,
    async jwt(audience, { signal } = {}) {
      if (closing.signal.aborted) throw closing.signal.reason
      if (typeof audience !== 'string' || audience === '') throw new PurserError('bad_options', 'an audience is text')
      const held = kept.get(audience)
      if (held && held.renewAfter > now()) return held.token
      try {
        return await unlessAborted(signal, () => shared(audience))
      } catch (error) {
        if (held && isAway(error) && held.expiresAt.getTime() > now().getTime() + usableMs) return held.token
        throw error
      }
    },
    close() {
      closing.abort(new PurserError('closed', 'this Purser client was closed'))
      close()
    },
    toJSON: () => ({ spiffeId: newest.spiffeId, session: newest.session }),
  }
}
