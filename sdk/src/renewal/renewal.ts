/**
 * Keeps what a client holds alive: renews it ahead of its end, says what happens, and hands each new identity to whoever
 * presents it.
 */
import { createBackOff } from './back-off.ts'
import type { Bundle } from '../bundle/bundle.ts'
import { type Bundles, createBundles } from '../bundle/bundle-cache.ts'
import { readCertificates } from '../certificates/certificates.ts'
import { unlessAborted } from '../time/deadline.ts'
import { PurserError, isConclusive, wordsOf } from '../errors.ts'
import type { Emitter } from '../events/emitter.ts'
import type { Credentials } from '../credentials/fetch-credentials.ts'
import type { Held } from './held-credentials.ts'
import { createPresence } from './presence.ts'
import type { By, Renew } from './next-credentials.ts'
import { createSchedule } from './schedule.ts'
import type { Wanted } from '../credentials/settings.ts'
import type { Transport } from '../connection/transport.ts'

export type Keeper = {
  bundles: Bundles
  /** PEM: the newest roots that anything said. */
  roots: () => string
  /** Why the newest try to renew failed; undefined after one that didn't. */
  lastError(): PurserError | undefined
  /** Gets another token than the one that is held; not while Purser asked for patience or was just found away. */
  obtainJwt(audience: string): Promise<string>
  /** Gets what is kept elsewhere; not while Purser asked for patience or was just found away. */
  obtain: (wanted: Wanted) => Promise<Credentials>
  /** Gets everything anew; calls at the same time share a request. */
  renewAll(signal?: AbortSignal): Promise<void>
  /** Something is used that was not before. */
  look: () => void
  onIdentity: (hear: () => void) => () => void
  close: () => void
}

export type KeeperParts = {
  held: Held
  renew: Renew
  transport: Transport
  emitter: Emitter
  /** Called with each new certificate, before anybody hears of it. */
  keep: (given: Credentials) => Promise<void>
  /** The roots moved on. */
  follow: (roots: string) => void
  /** Why the identity that is held could not be renewed at the start; undefined where it was. */
  away: PurserError | undefined
  closing: AbortSignal
  warn: (warning: string) => void
  /** For ages and pauses; no setting of the clock moves it. */
  elapsed: () => number
  random: () => number
}

/** How soon a token that was refused is asked for again, where it was asked for at the start. */
const postponedMs = 60_000

/** The same certificates, however they are written down. */
const namesOf = (roots: string): string => (readCertificates(roots) ?? []).map(String).toSorted().join('')

export function createKeeper(parts: KeeperParts): Keeper {
  const { held, renew, transport, emitter, keep, follow, closing, warn, elapsed, random } = parts
  const { emit } = emitter
  const hearers = new Set<() => void>()
  let lastError = parts.away
  let roots = held.newest().x509?.trustBundle ?? ''
  follow(roots)

  let first = true
  const bundles = createBundles({ transport, onBundle, closing, random })
  const backOff = createBackOff({ held, elapsed, random })
  const presence = createPresence({ backOff, emit, away: parts.away, warn, elapsed })
  const tellHearers = (): void => hearers.forEach((hear) => hear())

  /** Every one counts, news or not: something else may have moved the roots since the one before. */
  function onBundle(bundle: Bundle, isNews: boolean): void {
    const moved = roots !== '' && namesOf(bundle.roots) !== namesOf(roots)
    if (moved || isNews) setRoots(bundle.roots)
    // The first that is read is news only where the certificate came with other roots.
    if (moved || (isNews && !first)) emit('bundle', { sequence: bundle.sequence })
    first = false
    if (moved) tellHearers()
  }

  function setRoots(next: string): void {
    roots = next
    follow(roots)
  }

  /**
   * A renewal may come from a replica that lags behind, and would take back a root that is in use, or one that was
   * withdrawn. So where it differs from the bundle, that one is asked for, and counts.
   */
  function onX509({ trustBundle }: NonNullable<Credentials['x509']>): void {
    if (namesOf(trustBundle) === namesOf(roots)) return
    const isAlone = !bundles.known()
    if (isAlone) setRoots(trustBundle)
    // Its keys for tokens will have moved as well.
    bundles.reread().catch(() => {
      if (isAlone || closing.aborted) return
      setRoots(trustBundle)
      tellHearers()
    })
  }

  function onFailure(error: unknown): PurserError {
    const failure =
      error instanceof PurserError ? error : new PurserError('bad_reply', wordsOf(error), { cause: error })
    if (closing.aborted) return failure
    lastError = failure
    presence.failed(failure)
    return failure
  }

  /** Why the tokens among what was wanted are to be renewed no more. */
  function onRefused(wanted: Wanted, failure: PurserError): void {
    if (!isConclusive(failure)) return
    const { refused } = partsOf(wanted, failure)
    const audiences = failure.code === 'not_granted' ? refused : wanted.jwts
    for (const audience of audiences) held.refuse(audience, failure)
  }

  async function obtainNow(wanted: Wanted): Promise<Credentials> {
    let got: { given: Credentials; by: By }
    try {
      got = await renew(wanted, closing)
    } catch (error) {
      const failure = onFailure(error)
      onRefused(wanted, failure)
      throw failure
    }
    const { given, by } = got
    presence.answered()
    held.take(given)
    if (given.x509) {
      lastError = undefined
      onX509(given.x509)
      await keep(given)
      tellHearers()
    }
    const { serialNumber, notAfter } = given.x509 ?? {}
    emit('renewed', { serialNumber, notAfter, by })
    return given
  }

  /** One at a time, so that each presents the certificate that the one before brought. */
  let turn: Promise<unknown> = Promise.resolve()
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work)
    turn = result.catch(() => undefined)
    return result
  }
  const obtain = (wanted: Wanted): Promise<Credentials> => inTurn(() => obtainNow(wanted))

  async function obtainPatiently(wanted: Wanted): Promise<Credentials> {
    const why = backOff.why()
    if (why) throw why
    return obtainNow(wanted)
  }

  function obtainJwt(audience: string): Promise<string> {
    const before = held.jwt(audience)?.token
    return inTurn(async () => {
      const came = held.jwt(audience)?.token
      // With the renewal that was under way.
      if (came !== undefined && came !== before) return came
      const [jwt] = (await obtainPatiently({ jwts: [audience] })).jwts
      if (!jwt) throw new PurserError('bad_reply', 'the server issued no JWT')
      return jwt.token
    })
  }

  /** What is granted no more is left out, so that the rest doesn't lapse with it: a request is all or nothing. */
  async function obtainGranted(wanted: Wanted): Promise<void> {
    try {
      await obtain(wanted)
    } catch (error) {
      const { granted, refused } = partsOf(wanted, error)
      if (!granted) throw error
      for (const audience of refused) {
        held.postpone(audience, postponedMs)
        warn(`a JWT for ${audience} is not granted any more, so it is renewed no longer. ${wordsOf(error)}`)
      }
      await obtain(granted)
      if (wanted.x509 && !granted.x509) throw error
    }
  }

  let all: Promise<void> | undefined
  const schedule = createSchedule({ held, renew: obtainGranted, backOff, emit, lastError: () => lastError })

  async function renewNow(): Promise<void> {
    await obtainGranted(held.all())
    backOff.renewed()
  }

  return {
    bundles,
    roots: () => roots,
    lastError: () => lastError,
    obtainJwt,
    obtain: (wanted) => inTurn(() => obtainPatiently(wanted)),
    async renewAll(signal) {
      await unlessAborted(signal, () => (all ??= renewNow().finally(() => (all = undefined))))
      schedule.look()
    },
    look: schedule.look,
    onIdentity(hear) {
      hearers.add(hear)
      return () => void hearers.delete(hear)
    },
    close() {
      schedule.close()
      bundles.close()
    },
  }
}

/** By the JSON pointers of a refusal: what would be granted without them, if that is anything and anything less. */
function partsOf(wanted: Wanted, error: unknown): { granted: Wanted | undefined; refused: string[] } {
  const pointers =
    error instanceof PurserError && error.code === 'not_granted' ? error.errors.map(({ pointer }) => pointer) : []
  const isRefused = (part: string): boolean =>
    pointers.some((pointer) => pointer === part || pointer.startsWith(`${part}/`))
  const refused = wanted.jwts.filter((_, n) => isRefused(`/jwts/${n}`) || pointers.includes('/jwts'))
  const { x509, jwts, accessToken } = wanted
  const granted = {
    ...(x509 && !isRefused('/x509') && { x509 }),
    jwts: jwts.filter((jwt) => !refused.includes(jwt)),
    ...(accessToken && !isRefused('/accessToken') && { accessToken }),
  }
  const less = refused.length > 0 || Boolean(granted.x509) !== Boolean(x509)
  const something = granted.x509 ?? granted.accessToken ?? granted.jwts[0]
  return { granted: less && something !== undefined ? granted : undefined, refused }
}
