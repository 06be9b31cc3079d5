/**
 * Renews the credentials of a client ahead of their end, emits events, and hands each new identity to the parts that
 * present it.
 */
import { createBackOff } from './back-off.ts'
import type { Bundle } from '../bundle/bundle.ts'
import { createBundleCache } from '../bundle/bundle-cache.ts'
import { readCertificates } from '../certificates/certificates.ts'
import { addListener } from '../events/listeners.ts'
import { unlessAborted } from '../time/deadline.ts'
import { createTurn } from '../time/turn.ts'
import { PurserError, isConclusive, purserErrorFrom, wordsOf } from '../errors.ts'
import type { Emitter } from '../events/emitter.ts'
import type { Credentials } from '../credentials/fetch-credentials.ts'
import type { HeldCredentials } from './held-credentials.ts'
import { createPresence } from './presence.ts'
import type { NextCredentials } from './next-credentials.ts'
import { createSchedule } from './schedule.ts'
import type { Selection } from '../credentials/settings.ts'
import type { Transport } from '../connection/transport.ts'

export type Renewal = ReturnType<typeof createRenewal>

export type RenewalParts = {
  held: HeldCredentials
  nextCredentials: NextCredentials
  transport: Transport
  emitter: Emitter
  /** Stores each new certificate, before the listeners hear of it. */
  keep: (credentials: Credentials) => Promise<void>
  /** Receives each change of the roots. */
  follow: (roots: string) => void
  /** Why the stored identity could not be renewed at the start; undefined if it was. */
  away: PurserError | undefined
  closing: AbortSignal
  warn: (warning: string) => void
  /** For ages and pauses; no setting of the clock moves it. */
  elapsed: () => number
  random: () => number
}

/** Pause before a refused token is requested again, if connect() requested it. */
const postponedMs = 60_000

/** The same certificates in the same notation and order. */
const canonicalRoots = (roots: string): string => (readCertificates(roots) ?? []).map(String).toSorted().join('')

export function createRenewal(parts: RenewalParts) {
  const { held, nextCredentials, transport, emitter, keep, follow, closing, warn, elapsed, random } = parts
  const { emit } = emitter
  const listeners = new Set<() => void>()
  let lastError = parts.away
  let roots = held.newest().x509?.trustBundle ?? ''
  follow(roots)

  let isFirstBundle = true
  const bundles = createBundleCache({ transport, onBundle, closing, random })
  const backOff = createBackOff({ held, elapsed, random })
  const presence = createPresence({ backOff, emit, away: parts.away, warn, elapsed })
  const notify = (): void => listeners.forEach((listener) => listener())

  /** Even an unchanged bundle counts: a certificate may have changed the roots since the previous bundle. */
  function onBundle(bundle: Bundle, isNew: boolean): void {
    const isChanged = roots !== '' && canonicalRoots(bundle.roots) !== canonicalRoots(roots)
    if (isChanged || isNew) setRoots(bundle.roots)
    // The first bundle is an event only if it differs from the roots of the certificate.
    if (isChanged || (isNew && !isFirstBundle)) emit('bundle', { sequence: bundle.sequence })
    isFirstBundle = false
    if (isChanged) notify()
  }

  function setRoots(next: string): void {
    roots = next
    follow(roots)
  }

  /**
   * A replica that lags behind could remove a new root, or restore a withdrawn one. So if the roots of a new certificate
   * differ from the bundle, the client reads the bundle again, which counts.
   */
  function onX509({ trustBundle }: NonNullable<Credentials['x509']>): void {
    if (canonicalRoots(trustBundle) === canonicalRoots(roots)) return
    const hasNoBundle = !bundles.current()
    if (hasNoBundle) setRoots(trustBundle)
    // The JWT keys may have changed as well.
    bundles.reread().catch(() => {
      if (hasNoBundle || closing.aborted) return
      setRoots(trustBundle)
      notify()
    })
  }

  function onFailure(error: unknown): PurserError {
    const failure = purserErrorFrom(error)
    if (closing.aborted) return failure
    lastError = failure
    presence.failed(failure)
    return failure
  }

  /** Notes why the requested tokens can't be renewed. */
  function onRefused(selection: Selection, failure: PurserError): void {
    if (!isConclusive(failure)) return
    const { refused } = partsOf(selection, failure)
    const audiences = failure.code === 'not_granted' ? refused : selection.jwts
    for (const audience of audiences) held.refuse(audience, failure)
  }

  async function obtainNow(selection: Selection): Promise<Credentials> {
    let renewed: Awaited<ReturnType<NextCredentials>>
    try {
      renewed = await nextCredentials(selection, closing)
    } catch (error) {
      const failure = onFailure(error)
      onRefused(selection, failure)
      throw failure
    }
    const { credentials, by } = renewed
    presence.answered()
    held.store(credentials)
    if (credentials.x509) {
      lastError = undefined
      onX509(credentials.x509)
      await keep(credentials)
      notify()
    }
    const { serialNumber, notAfter } = credentials.x509 ?? {}
    emit('renewed', { serialNumber, notAfter, by })
    return credentials
  }

  /** One at a time, so that each request presents the newest certificate. */
  const inTurn = createTurn()
  const obtain = (selection: Selection): Promise<Credentials> => inTurn(() => obtainNow(selection))

  async function obtainUnlessAway(selection: Selection): Promise<Credentials> {
    const reason = backOff.reason()
    if (reason) throw reason
    return obtainNow(selection)
  }

  /** Gets a new token, unless Purser sent Retry-After or was just unreachable. */
  function obtainJwt(audience: string): Promise<string> {
    const previous = held.jwt(audience)?.token
    return inTurn(async () => {
      // A renewal in progress may have brought a new token.
      const current = held.jwt(audience)?.token
      if (current !== undefined && current !== previous) return current
      const [jwt] = (await obtainUnlessAway({ jwts: [audience] })).jwts
      if (!jwt) throw new PurserError('bad_reply', 'the server issued no JWT')
      return jwt.token
    })
  }

  /** Leaves out what is no longer granted, so that the rest does not expire with it: a request is all or nothing. */
  async function obtainGranted(selection: Selection): Promise<void> {
    try {
      await obtain(selection)
    } catch (error) {
      const { granted, refused } = partsOf(selection, error)
      if (!granted) throw error
      for (const audience of refused) {
        held.postpone(audience, postponedMs)
        warn(`a JWT for ${audience} is no longer granted, so it is not renewed. ${wordsOf(error)}`)
      }
      await obtain(granted)
      if (selection.x509 && !granted.x509) throw error
    }
  }

  let pending: Promise<void> | undefined
  const schedule = createSchedule({ held, renew: obtainGranted, backOff, emit, lastError: () => lastError })

  async function renewNow(): Promise<void> {
    await obtainGranted(held.all())
    backOff.renewed()
  }

  return {
    bundles,
    /** PEM: the newest roots, of a bundle or a certificate. */
    roots: () => roots,
    /** Why the last attempt failed; undefined after a success. */
    lastError: () => lastError,
    obtainJwt,
    /** Gets credentials that others store, unless Purser sent Retry-After or was just unreachable. */
    obtain: (selection: Selection): Promise<Credentials> => inTurn(() => obtainUnlessAway(selection)),
    /** Renews everything. Concurrent calls share the request. */
    async renewAll(signal?: AbortSignal): Promise<void> {
      await unlessAborted(signal, () => (pending ??= renewNow().finally(() => (pending = undefined))))
      schedule.check()
    },
    check: schedule.check,
    /** Calls the listener after each new certificate and each change of the roots. */
    onIdentity: (listener: () => void) => addListener(listeners, listener),
    close: (): void => {
      schedule.close()
      bundles.close()
    },
  }
}

/** Splits a selection by the JSON pointers of a refusal. `granted` is undefined if nothing, or everything, is left. */
function partsOf(selection: Selection, error: unknown): { granted: Selection | undefined; refused: string[] } {
  const pointers =
    error instanceof PurserError && error.code === 'not_granted' ? error.errors.map(({ pointer }) => pointer) : []
  const isRefused = (part: string): boolean =>
    pointers.some((pointer) => pointer === part || pointer.startsWith(`${part}/`))
  const refused = selection.jwts.filter((_, n) => isRefused(`/jwts/${n}`) || pointers.includes('/jwts'))
  const { x509, jwts, accessToken } = selection
  const granted = {
    ...(x509 && !isRefused('/x509') && { x509 }),
    jwts: jwts.filter((jwt) => !refused.includes(jwt)),
    ...(accessToken && !isRefused('/accessToken') && { accessToken }),
  }
  const isLess = refused.length > 0 || Boolean(granted.x509) !== Boolean(x509)
  const remainder = granted.x509 ?? granted.accessToken ?? granted.jwts[0]
  return { granted: isLess && remainder !== undefined ? granted : undefined, refused }
}
