/** What a client holds, part by part: since when, until when, and when to get the next one. */
import type { PurserError } from '../errors.ts'
import type { Credentials } from '../credentials/fetch-credentials.ts'
import { type Clocks, type Lifetime, lifetimeFrom } from '../time/lifetime.ts'
import type { AccessTokenReply, JwtReply } from '../credentials/reply.ts'
import type { Wanted } from '../credentials/settings.ts'

type Timed<T> = { value: T; life: Lifetime; renewAtAge: number }

type Refused = { error: PurserError; at: number }
type KeptJwt = Timed<JwtReply> & { isUsed: boolean; refused: Refused | undefined }

/** Milliseconds, as of now. */
type Left = { lifeMs: number; leftMs: number }
type HeldX509 = Left & { value: NonNullable<Credentials['x509']> }
type HeldJwt = Left & {
  token: string
  /** Why it is to be renewed no more, and for how long that has been known; undefined before it is time to renew. */
  refused: { error: PurserError; agoMs: number } | undefined
}

export type Held = {
  /** Of the newest answer: who this is, and its receipt. */
  newest(): Credentials
  x509(): HeldX509 | undefined
  accessToken(): AccessTokenReply | undefined
  jwt(audience: string): HeldJwt | undefined
  /** Notes that somebody uses it, so that it is renewed ahead of its end. */
  use(audience: string): void
  /** Is renewed no more for so long, unless it comes all the same. */
  postpone(audience: string, ms: number): void
  /** Notes why the next one is not to be had. */
  refuse(audience: string, error: PurserError): void
  take(given: Credentials): void
  /** What is to be renewed now; undefined when nothing is. */
  due(): Wanted | undefined
  /** Everything that would be renewed sooner or later. */
  all(): Wanted
  /** Milliseconds until the next part is due: Infinity where there is none. */
  dueInMs(): number
  /** Milliseconds until the first of what is renewed ends: Infinity where there is nothing, 0 or less where one is over. */
  leftMs(): number
}

export type HeldParts = Clocks & {
  wanted: Wanted
  /** Fraction of a lifetime after which to renew; the server's word, about half, unless given. */
  renewAt: number | undefined
  /** 0 to 1. */
  random: () => number
}

/** Part of the time until renewal by which it is brought forward at random, so that clients of one start drift apart. */
const jitter = 0.1
/** Parts of a lifetime, whatever the server says: not at once again, and not when it is too late. */
const renewal = { earliest: 0.05, latest: 0.9 }

/** One part as of now, milliseconds. `early`: how much before its time it comes along with another. */
type Part = { dueIn: number; early: number; left: number }

/** What was asked for at the start and isn't there is always due. */
const missing: Part = { dueIn: -Infinity, early: 0, left: 0 }

const partOf = ({ life, renewAtAge }: Timed<unknown>): Part => ({
  dueIn: renewAtAge - life.ageMs(),
  early: life.lifeMs * jitter,
  left: life.leftMs(),
})

export function createHeld(parts: HeldParts, first: Credentials): Held {
  const { wanted, renewAt, now, elapsed, random } = parts
  let newest = first
  let x509: Timed<NonNullable<Credentials['x509']>> | undefined
  let accessToken: Timed<AccessTokenReply> | undefined
  const jwts = new Map<string, KeptJwt>()
  /** Until when, by `elapsed`. */
  const postponed = new Map<string, number>()

  function timed<T>(value: T, renewAfter: Date | undefined, end: Date): Timed<T> {
    const at = newest.serverTime ?? now()
    const life = lifetimeFrom(parts, end.getTime(), at)
    const { lifeMs } = life
    const half = renewAfter ? renewAfter.getTime() - at : lifeMs / 2
    const planned = Math.min(renewAt === undefined ? half : lifeMs * renewAt, lifeMs * renewal.latest)
    return { value, life, renewAtAge: Math.max(planned * (1 - jitter * random()), lifeMs * renewal.earliest) }
  }

  function take(given: Credentials): void {
    newest = given
    if (given.x509) x509 = timed(given.x509, given.x509.renewAfter, given.x509.notAfter)
    if (given.accessToken) accessToken = timed(given.accessToken, undefined, given.accessToken.expiresAt)
    for (const [audience, { life }] of jwts) if (life.leftMs() <= 0) jwts.delete(audience)
    for (const jwt of given.jwts) {
      const audience = jwt.audience.join(' ')
      postponed.delete(audience)
      jwts.set(audience, { ...timed(jwt, jwt.renewAfter, jwt.expiresAt), isUsed: false, refused: undefined })
    }
  }

  /** Asked for at the start, or used since it came: others may lapse. */
  function liveJwts(): [string, Part][] {
    const live = [...jwts].filter(([audience, { isUsed }]) => isUsed || wanted.jwts.includes(audience))
    const missed = wanted.jwts.filter((jwt) => !jwts.has(jwt)).map((jwt): [string, Part] => [jwt, missing])
    return [...live.map(([audience, jwt]): [string, Part] => [audience, partOf(jwt)]), ...missed].map(
      ([audience, part]) => [audience, postponedTo(part, postponed.get(audience))],
    )
  }
  const postponedTo = (part: Part, until: number | undefined): Part =>
    until === undefined ? part : { dueIn: until - elapsed(), early: 0, left: Infinity }
  const x509Part = (): Part => (x509 ? partOf(x509) : missing)
  const accessTokenPart = (): Part => (accessToken ? partOf(accessToken) : missing)

  function pick(isDue: (part: Part) => boolean): Wanted {
    return {
      ...(wanted.x509 && isDue(x509Part()) && { x509: wanted.x509 }),
      jwts: liveJwts().flatMap(([audience, part]) => (isDue(part) ? [audience] : [])),
      ...(wanted.accessToken && isDue(accessTokenPart()) && { accessToken: wanted.accessToken }),
    }
  }
  const live = (): Part[] => [
    ...(wanted.x509 ? [x509Part()] : []),
    ...(wanted.accessToken ? [accessTokenPart()] : []),
    ...liveJwts().map(([, part]) => part),
  ]

  take(first)
  return {
    newest: () => newest,
    x509: () => x509 && { value: x509.value, lifeMs: x509.life.lifeMs, leftMs: x509.life.leftMs() },
    accessToken: () => accessToken?.value,
    jwt(audience) {
      const jwt = jwts.get(audience)
      if (!jwt) return undefined
      const { value, life, renewAtAge, refused } = jwt
      const told = refused && life.ageMs() >= renewAtAge
      return {
        token: value.token,
        lifeMs: life.lifeMs,
        leftMs: life.leftMs(),
        refused: told ? { error: refused.error, agoMs: elapsed() - refused.at } : undefined,
      }
    },
    use(audience) {
      const jwt = jwts.get(audience)
      if (jwt) jwt.isUsed = true
    },
    postpone: (audience, ms) => void postponed.set(audience, elapsed() + ms),
    refuse(audience, error) {
      const jwt = jwts.get(audience)
      if (jwt) jwt.refused = { error, at: elapsed() }
    },
    take,
    due() {
      if (!live().some(({ dueIn }) => dueIn <= 0)) return undefined
      // What is due soon comes along: one request for all.
      return pick(({ dueIn, early }) => dueIn <= early)
    },
    all: () => pick(() => true),
    dueInMs: () => Math.min(...live().map(({ dueIn }) => dueIn)),
    leftMs: () => Math.min(...live().map(({ left }) => left)),
  }
}
