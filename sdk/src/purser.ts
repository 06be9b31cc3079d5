/** What a program holds: the credentials as they are now. */

import { unlessAborted } from './time/deadline.ts'
import { PurserError } from './errors.ts'
import type { Emitter } from './events/emitter.ts'
import type { Held } from './renewal/held-credentials.ts'
import { holding } from './time/keep-alive.ts'
import { createFetch } from './jwt/fetch.ts'
import type { VerifyJwt } from './jwt/verify-jwt.ts'
import type { Keeper } from './renewal/renewal.ts'
import type { Source } from './identity/source.ts'
import type { Secrets } from './types/secrets.ts'
import type { Databases } from './types/databases.ts'
import type { Tls } from './types/tls.ts'
import type { Choice, Purser } from './types/purser.ts'

type Parts = {
  held: Held
  keeper: Keeper
  source: Pick<Source, 'identity'>
  verifyJwt: VerifyJwt
  tls: Tls
  secrets: Secrets
  databases: Databases
  emitter: Emitter
  chosen: readonly Choice[]
  closing: AbortSignal
  close: () => void
}

/** A token that ends sooner is of no use to who receives it, but for one that lives for seconds. */
const usable = { minMs: 5_000, minPart: 0.25 }
/** How soon one that was refused is asked for again, while the last one lasts. */
const refusedMs = 5_000

export function createPurser(parts: Parts): Purser {
  const { held, keeper, source, tls, verifyJwt, secrets, databases, emitter, chosen, closing, close } = parts
  const underWay = new Map<string, Promise<string>>()

  function shared(audience: string): Promise<string> {
    const asked = underWay.get(audience) ?? keeper.obtainJwt(audience).finally(() => underWay.delete(audience))
    underWay.set(audience, asked)
    return asked
  }

  /** Used from now on, so that it is renewed ahead of its end. */
  function used(audience: string, token: string): string {
    held.use(audience)
    keeper.look()
    return token
  }

  async function jwt(audience: string, { signal }: { signal?: AbortSignal } = {}): Promise<string> {
    if (closing.aborted) throw closing.reason
    if (typeof audience !== 'string' || audience === '') throw new PurserError('bad_options', 'an audience is text')
    const kept = held.jwt(audience)
    const isUsable = kept && kept.leftMs > Math.min(usable.minMs, kept.lifeMs * usable.minPart)
    if (isUsable && !kept.refused) return used(audience, kept.token)
    if (isUsable && kept.refused && kept.refused.agoMs < refusedMs) throw kept.refused.error
    return used(audience, await holding(() => unlessAborted(signal, () => shared(audience))))
  }

  /** Somebody refused a token: the one that came since then, or the next. */
  async function freshJwt(audience: string, refused: string): Promise<string> {
    if (held.jwt(audience)?.token !== refused) return jwt(audience)
    return used(audience, await holding(() => shared(audience)))
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
    verifyJwt: (token, options) => holding(() => verifyJwt(token, options)),
    fetch: (options) => createFetch({ jwt, freshJwt }, options),
    tls,
    secrets,
    databases,
    renew: ({ signal } = {}) =>
      closing.aborted ? Promise.reject(closing.reason) : holding(() => keeper.renewAll(signal)),
    on: emitter.on,
    close,
    toJSON: () => ({ spiffeId: held.newest().spiffeId, session: held.newest().session }),
  }
}
