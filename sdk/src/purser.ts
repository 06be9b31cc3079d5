import { PurserError } from './errors.ts'
import type { Emitter } from './events/emitter.ts'
import type { IdentitySource } from './identity/source.ts'
import { createFetch } from './jwt/fetch.ts'
import type { HeldCredentials } from './renewal/held-credentials.ts'
import type { Renewal } from './renewal/renewal.ts'
import { unlessAborted } from './time/deadline.ts'
import { keepAlive } from './time/keep-alive.ts'
import type { Purser } from './types/purser.ts'

type Parts = Pick<Purser, 'verifyJwt' | 'tls' | 'secrets' | 'databases' | 'chosen' | 'close'> & {
  held: HeldCredentials
  renewal: Renewal
  source: Pick<IdentitySource, 'identity'>
  emitter: Emitter
  closing: AbortSignal
}

/** The minimum remaining lifetime of a token that is returned: the smaller of the two. */
const minLeft = { ms: 5_000, part: 0.25 }
/** Pause before a refused token is requested again while the current one is valid. */
const refusedMs = 5_000

/** The client, over its parts. */
export function createPurser(parts: Parts): Purser {
  const { held, renewal, source, tls, verifyJwt, secrets, databases, emitter, chosen, closing, close } = parts
  const pending = new Map<string, Promise<string>>()

  function sharedRequest(audience: string): Promise<string> {
    const token = pending.get(audience) ?? renewal.obtainJwt(audience).finally(() => pending.delete(audience))
    pending.set(audience, token)
    return token
  }

  /** Marks the token as in use, so that it is renewed ahead of its end. */
  function use(audience: string, token: string): string {
    held.use(audience)
    renewal.check()
    return token
  }

  async function jwt(audience: string, { signal }: { signal?: AbortSignal } = {}): Promise<string> {
    if (closing.aborted) throw closing.reason
    if (typeof audience !== 'string' || audience === '') throw new PurserError('bad_options', 'an audience is text')
    const current = held.jwt(audience)
    const isUsable = current && current.leftMs > Math.min(minLeft.ms, current.lifeMs * minLeft.part)
    if (isUsable && !current.refused) return use(audience, current.token)
    if (isUsable && current.refused && current.refused.agoMs < refusedMs) throw current.refused.error
    return use(audience, await keepAlive(() => unlessAborted(signal, () => sharedRequest(audience))))
  }

  /** Another token than the refused one: the current one if it is newer, else the next. */
  async function freshJwt(audience: string, refused: string): Promise<string> {
    if (held.jwt(audience)?.token !== refused) return jwt(audience)
    return use(audience, await keepAlive(() => sharedRequest(audience)))
  }

  return {
    get spiffeId() {
      return held.newest().spiffeId
    },
    get workload() {
      return held.newest().workload
    },
    get session() {
      return held.newest().session
    },
    get x509() {
      return source.identity()
    },
    get accessToken() {
      return held.accessToken()
    },
    get receipt() {
      return held.newest().receipt
    },
    chosen,
    jwt,
    verifyJwt: (token, options) => keepAlive(() => verifyJwt(token, options)),
    fetch: (options) => createFetch({ jwt, freshJwt }, options),
    tls,
    secrets,
    databases,
    renew: ({ signal } = {}) =>
      closing.aborted ? Promise.reject(closing.reason) : keepAlive(() => renewal.renewAll(signal)),
    on: emitter.on,
    close,
    toJSON: () => ({ spiffeId: held.newest().spiffeId, session: held.newest().session }),
  }
}
