/** What a client holds, part by part: since when, until when, and when to get the next one. */
import type { Credentials } from './fetch-credentials.ts'
import type { AccessTokenReply, JwtReply } from './reply.ts'
import type { Wanted } from './settings.ts'

/** Times are milliseconds of the clock that the parts are given. */
type Timed<T> = { value: T; gotAt: number; renewAt: number; endsAt: number }

type HeldJwt = Timed<JwtReply> & { usedAt: number }
type HeldX509 = Timed<NonNullable<Credentials['x509']>>

export type Held = {
  /** Of the newest answer: who this is, and its receipt. */
  newest(): Credentials
  x509(): HeldX509 | undefined
  accessToken(): AccessTokenReply | undefined
  jwt(audience: string): HeldJwt | undefined
  /** Notes that somebody uses it, so that it is renewed ahead of its end. */
  use(audience: string): void
  /** Is renewed no more until then, unless it comes all the same. */
  postpone(audience: string, until: number): void
  take(given: Credentials): void
  /** What is to be renewed at this time; undefined when nothing is. */
  due(at: number): Wanted | undefined
  /** Everything that would be renewed sooner or later. */
  all(): Wanted
  /** When the next part is due: Infinity where there is none. */
  nextAt(): number
}

export type HeldParts = {
  wanted: Wanted
  /** Fraction of a lifetime after which to renew; the server's word, about half, unless given. */
  renewAt: number | undefined
  now: () => number
  /** 0 to 1. */
  random: () => number
}

/** Part of the time until renewal by which it is brought forward at random, so that clients of one start drift apart. */
const jitter = 0.1

export function createHeld({ wanted, renewAt, now, random }: HeldParts, first: Credentials): Held {
  let newest = first
  let x509: HeldX509 | undefined
  let accessToken: Timed<AccessTokenReply> | undefined
  const jwts = new Map<string, HeldJwt>()
  const postponed = new Map<string, number>()

  function timed<T>(value: T, renewAfter: Date | undefined, end: Date): Timed<T> {
    const gotAt = now()
    const life = end.getTime() - gotAt
    const half = gotAt + life / 2
    const at = renewAt === undefined ? (renewAfter?.getTime() ?? half) : gotAt + life * renewAt
    // A clock that is ahead of the server's must not make a loop of it.
    const due = Math.max(at - (at - gotAt) * jitter * random(), gotAt + life / 20)
    return { value, gotAt, renewAt: due, endsAt: end.getTime() }
  }

  function take(given: Credentials): void {
    newest = given
    if (given.x509) x509 = timed(given.x509, given.x509.renewAfter, given.x509.notAfter)
    if (given.accessToken) accessToken = timed(given.accessToken, undefined, given.accessToken.expiresAt)
    for (const [audience, { endsAt }] of jwts) if (endsAt <= now()) jwts.delete(audience)
    for (const jwt of given.jwts) {
      postponed.delete(jwt.audience.join(' '))
      jwts.set(jwt.audience.join(' '), { ...timed(jwt, jwt.renewAfter, jwt.expiresAt), usedAt: -Infinity })
    }
  }

  /** Asked for at the start, or used since it came: others may lapse. */
  const isLive = (audience: string, { usedAt, gotAt }: HeldJwt): boolean =>
    wanted.jwts.includes(audience) || usedAt >= gotAt

  /** What was asked for at the start and isn't there is always due. */
  const missing = { value: undefined, gotAt: -Infinity, renewAt: -Infinity, endsAt: -Infinity }
  const liveJwts = (): [string, Timed<unknown>][] => {
    const missed = wanted.jwts.filter((one) => !jwts.has(one)).map((one): [string, Timed<unknown>] => [one, missing])
    const live = [...[...jwts].filter(([audience, jwt]) => isLive(audience, jwt)), ...missed]
    return live.map(([audience, jwt]) => [audience, postponedTo(jwt, postponed.get(audience))])
  }
  const postponedTo = (jwt: Timed<unknown>, until: number | undefined): Timed<unknown> =>
    until === undefined ? jwt : { ...jwt, renewAt: until, endsAt: until }

  function pick(isDue: (part: Timed<unknown>) => boolean): Wanted {
    return {
      ...(wanted.x509 && isDue(x509 ?? missing) && { x509: wanted.x509 }),
      jwts: liveJwts().flatMap(([audience, jwt]) => (isDue(jwt) ? [audience] : [])),
      ...(wanted.accessToken && isDue(accessToken ?? missing) && { accessToken: wanted.accessToken }),
    }
  }
  /** How much earlier a part comes along with another. */
  const soon = ({ gotAt, endsAt }: Timed<unknown>): number => (Number.isFinite(gotAt) ? (endsAt - gotAt) * jitter : 0)
  const isNothing = (one: Wanted): boolean => !one.x509 && !one.accessToken && one.jwts.length === 0

  take(first)
  return {
    newest: () => newest,
    x509: () => x509,
    accessToken: () => accessToken?.value,
    jwt: (audience) => jwts.get(audience),
    use(audience) {
      const jwt = jwts.get(audience)
      if (jwt) jwt.usedAt = now()
    },
    postpone: (audience, until) => void postponed.set(audience, until),
    take,
    due(at) {
      if (isNothing(pick((part) => part.renewAt <= at))) return undefined
      // What is due soon comes along: one request for all.
      return pick((part) => part.renewAt - soon(part) <= at)
    },
    all: () => pick(() => true),
    nextAt: () =>
      Math.min(
        wanted.x509 ? (x509 ?? missing).renewAt : Infinity,
        wanted.accessToken ? (accessToken ?? missing).renewAt : Infinity,
        ...liveJwts().map(([, jwt]) => jwt.renewAt),
      ),
  }
}
