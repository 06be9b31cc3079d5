/** The current credentials of a client, each with its remaining lifetime and the time of its renewal. */
import type { PurserError } from '../errors.ts'
import type { Credentials } from '../credentials/fetch-credentials.ts'
import { type Clocks, type Lifetime, lifetimeFrom } from '../time/lifetime.ts'
import type { AccessTokenReply, JwtReply } from '../credentials/reply.ts'
import type { Selection } from '../credentials/settings.ts'

type Timed<T> = { value: T; life: Lifetime; renewAtAge: number }

type Refusal = { error: PurserError; at: number }
type TimedJwt = Timed<JwtReply> & { isUsed: boolean; refused: Refusal | undefined }

/** Milliseconds, as of now. */
type Times = { lifeMs: number; leftMs: number }
type HeldX509 = Times & { value: NonNullable<Credentials['x509']> }
type HeldJwt = Times & {
  token: string
  /** Why Purser refuses the next one, and for how long; undefined before it is time to renew. */
  refused: { error: PurserError; agoMs: number } | undefined
}

export type HeldCredentials = ReturnType<typeof createHeldCredentials>

export type HeldCredentialsParts = Clocks & {
  selection: Selection
  /** Fraction of a lifetime after which to renew. Default: the server's advice, about half. */
  renewAt: number | undefined
  /** 0 to 1. */
  random: () => number
}

/** Part of the time until renewal by which it is randomly brought forward, so that clients of one start drift apart. */
const jitter = 0.1
/** Limits the server's advice, as parts of a lifetime. */
const renewalPart = { min: 0.05, max: 0.9 }

/** One credential as of now, milliseconds. `early`: how long before its time it is renewed along with another. */
type Part = { dueIn: number; early: number; left: number }

/** A credential that connect() requested and that is missing is always due. */
const missing: Part = { dueIn: -Infinity, early: 0, left: 0 }

const partOf = ({ life, renewAtAge }: Timed<unknown>): Part => ({
  dueIn: renewAtAge - life.ageMs(),
  early: life.lifeMs * jitter,
  left: life.leftMs(),
})

export function createHeldCredentials(parts: HeldCredentialsParts, first: Credentials) {
  const { selection, renewAt, now, elapsed, random } = parts
  let newest = first
  let x509: Timed<NonNullable<Credentials['x509']>> | undefined
  let accessToken: Timed<AccessTokenReply> | undefined
  const jwts = new Map<string, TimedJwt>()
  /** By `elapsed`. */
  const postponedUntil = new Map<string, number>()

  function timed<T>(value: T, renewAfter: Date | undefined, end: Date): Timed<T> {
    const receivedAt = newest.serverTime ?? now()
    const life = lifetimeFrom(parts, end.getTime(), receivedAt)
    const { lifeMs } = life
    const advised = renewAfter ? renewAfter.getTime() - receivedAt : lifeMs / 2
    const planned = Math.min(renewAt === undefined ? advised : lifeMs * renewAt, lifeMs * renewalPart.max)
    return { value, life, renewAtAge: Math.max(planned * (1 - jitter * random()), lifeMs * renewalPart.min) }
  }

  function store(credentials: Credentials): void {
    newest = credentials
    if (credentials.x509) x509 = timed(credentials.x509, credentials.x509.renewAfter, credentials.x509.notAfter)
    if (credentials.accessToken)
      accessToken = timed(credentials.accessToken, undefined, credentials.accessToken.expiresAt)
    for (const [audience, { life }] of jwts) if (life.leftMs() <= 0) jwts.delete(audience)
    for (const jwt of credentials.jwts) {
      const audience = jwt.audience.join(' ')
      postponedUntil.delete(audience)
      jwts.set(audience, { ...timed(jwt, jwt.renewAfter, jwt.expiresAt), isUsed: false, refused: undefined })
    }
  }

  /** Requested by connect(), or used since their receipt. Others may expire. */
  function liveJwts(): [string, Part][] {
    const live = [...jwts].filter(([audience, { isUsed }]) => isUsed || selection.jwts.includes(audience))
    const absent = selection.jwts.filter((jwt) => !jwts.has(jwt)).map((jwt): [string, Part] => [jwt, missing])
    return [...live.map(([audience, jwt]): [string, Part] => [audience, partOf(jwt)]), ...absent].map(
      ([audience, part]) => [audience, postponedTo(part, postponedUntil.get(audience))],
    )
  }
  const postponedTo = (part: Part, until: number | undefined): Part =>
    until === undefined ? part : { dueIn: until - elapsed(), early: 0, left: Infinity }
  const x509Part = (): Part => (x509 ? partOf(x509) : missing)
  const accessTokenPart = (): Part => (accessToken ? partOf(accessToken) : missing)

  function pick(isDue: (part: Part) => boolean): Selection {
    return {
      ...(selection.x509 && isDue(x509Part()) && { x509: selection.x509 }),
      jwts: liveJwts().flatMap(([audience, part]) => (isDue(part) ? [audience] : [])),
      ...(selection.accessToken && isDue(accessTokenPart()) && { accessToken: selection.accessToken }),
    }
  }
  const live = (): Part[] => [
    ...(selection.x509 ? [x509Part()] : []),
    ...(selection.accessToken ? [accessTokenPart()] : []),
    ...liveJwts().map(([, part]) => part),
  ]

  store(first)
  return {
    /** The newest answer: the identity, and the receipt. */
    newest: () => newest,
    x509: (): HeldX509 | undefined =>
      x509 && { value: x509.value, lifeMs: x509.life.lifeMs, leftMs: x509.life.leftMs() },
    accessToken: () => accessToken?.value,
    jwt(audience: string): HeldJwt | undefined {
      const jwt = jwts.get(audience)
      if (!jwt) return undefined
      const { value, life, renewAtAge, refused } = jwt
      const isDue = life.ageMs() >= renewAtAge
      return {
        token: value.token,
        lifeMs: life.lifeMs,
        leftMs: life.leftMs(),
        refused: refused && isDue ? { error: refused.error, agoMs: elapsed() - refused.at } : undefined,
      }
    },
    /** Marks a token as in use, so that it is renewed ahead of its end. */
    use(audience: string): void {
      const jwt = jwts.get(audience)
      if (jwt) jwt.isUsed = true
    },
    /** Suspends the renewal of a token, unless an answer includes it. */
    postpone: (audience: string, ms: number) => void postponedUntil.set(audience, elapsed() + ms),
    /** Notes why Purser refuses the next token. */
    refuse(audience: string, error: PurserError): void {
      const jwt = jwts.get(audience)
      if (jwt) jwt.refused = { error, at: elapsed() }
    },
    store,
    /** What to renew now; undefined if nothing is due. */
    due(): Selection | undefined {
      if (!live().some(({ dueIn }) => dueIn <= 0)) return undefined
      // One request also renews what is due soon.
      return pick(({ dueIn, early }) => dueIn <= early)
    },
    /** Everything that is ever renewed. */
    all: () => pick(() => true),
    /** Milliseconds until the next credential is due; Infinity without any. */
    dueInMs: () => Math.min(...live().map(({ dueIn }) => dueIn)),
    /** Milliseconds until the first renewed credential expires: Infinity without any, 0 or less after it has expired. */
    leftMs: () => Math.min(...live().map(({ left }) => left)),
  }
}
