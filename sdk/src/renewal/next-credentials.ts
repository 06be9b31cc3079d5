/**
 * Gets the next credentials: by the live certificate, which spares Purser a call to the orchestrator, or else by the
 * orchestrator's proof. Each serial number renews once, so a certificate that was presented is not presented again later.
 */
import { type KeyObject, createPrivateKey } from 'node:crypto'
import { withDeadline } from '../time/deadline.ts'
import { type Lifetime, lifetimeFrom } from '../time/lifetime.ts'
import { PurserError } from '../errors.ts'
import { type Credentials, type FetchCredentials, makeKey } from '../credentials/fetch-credentials.ts'
import type { PendingKey } from '../state/identity-file.ts'
import type { Selection } from '../credentials/settings.ts'

type By = 'certificate' | 'proof'
type Renewed = { credentials: Credentials; by: By }
export type NextCredentials = (selection: Selection, signal: AbortSignal) => Promise<Renewed>

type Live = { certificateChain: string; privateKey: string; notAfter: Date; session: { expiresAt: Date } }

export type NextCredentialsParts = {
  now: () => Date
  /** A clock that setting the machine's clock does not move: performance.now(). */
  elapsed: () => number
  fetchCredentials: FetchCredentials
  /** The current certificate with its session; undefined if none can be presented. */
  live: () => Live | undefined
  warn: (warning: string) => void
  /**
   * Stores the renewal that is about to be sent, for a process that takes over; undefined after the server refused it.
   * @returns false if that process would find the certificate without the note that it may be spent
   */
  keepPending?: (pending: PendingKey | undefined) => Promise<boolean>
  /** The interrupted renewal of an earlier process. */
  pending?: PendingKey
}

/** The minimum remaining lifetime of a certificate that is presented. */
const minLeftMs = 2_000

/**
 * The server accepts a serial number again for the same key within 60 s, since an answer may get lost. `window` is a part of
 * that time. Without a local key, a repetition would be another request.
 */
type Presentation = { at: Date; key: KeyObject | undefined; window: Lifetime }
const repeatMs = 50_000

const pem = (key: KeyObject): string => String(key.export({ type: 'pkcs8', format: 'pem' }))

export function createNextCredentials(parts: NextCredentialsParts): NextCredentials {
  const { fetchCredentials, live, now, elapsed, warn, keepPending } = parts
  const clocks = { now: () => now().getTime(), elapsed }
  const { privateKey, sentAt } = parts.pending ?? {}
  /** The key to certify next. */
  let nextKey = privateKey === undefined ? undefined : createPrivateKey(privateKey)
  /** The first presentation of the current certificate; undefined if there was none, or the server refused it. */
  let spent = sentAt && presentation(sentAt, nextKey)

  /** @param at may be of an earlier process; a time in the future means that the window is over */
  function presentation(at: Date, key: KeyObject | undefined): Presentation {
    const end = at > now() ? 0 : at.getTime() + repeatMs
    return { at, key, window: lifetimeFrom(clocks, end, clocks.now()) }
  }

  /** A new certificate arrived, whose serial number was never presented. */
  function settle(): void {
    nextKey = undefined
    spent = undefined
  }

  const keyFor = async ({ x509 }: Selection): Promise<KeyObject | undefined> =>
    !x509 || x509.generateKey ? undefined : (nextKey ??= await makeKey())

  /** Milliseconds for which presenting the certificate again can't look like a second holder. */
  function leftFor({ x509 }: Selection): number {
    if (!spent) return Infinity
    return spent.key && spent.key === nextKey && !x509?.generateKey ? spent.window.leftMs() : 0
  }

  async function byProof(selection: Selection, signal: AbortSignal): Promise<Renewed> {
    const key = await keyFor(selection)
    const credentials = await fetchCredentials({ selection, ...(key && { key }) }, signal)
    if (selection.x509) settle()
    return { credentials, by: 'proof' }
  }

  async function prepare(key: KeyObject | undefined): Promise<boolean> {
    const pending = { ...(key && { privateKey: pem(key) }), sentAt: spent?.at ?? now() }
    return (await keepPending?.(pending)) ?? true
  }

  /** @returns undefined if it was not sent: it would be too late, or a restarted process would not know of it */
  async function byCertificate(selection: Selection, current: Live, signal: AbortSignal): Promise<Renewed | undefined> {
    const remainingMs = leftFor(selection)
    if (remainingMs <= 0) return undefined
    const key = await keyFor(selection)
    if (selection.x509 && !(await prepare(key))) return undefined
    let before = spent
    const sending = { begun: false, tooLate: false }
    // Checked at each writing: connecting may take long, and a busy server receives the request twice.
    const onSent = (): void => {
      sending.tooLate = leftFor(selection) <= 0
      if (sending.tooLate) throw new PurserError('timeout', 'repeating the renewal took too long')
      sending.begun = true
      before = spent
      if (selection.x509) spent ??= presentation(now(), key)
    }
    // A refusal changes nothing. After a 5xx, the server may have recorded the renewal.
    const onAnswer = (status: number): void => {
      if (status >= 400 && status < 500) spent = before
    }
    const as = { key: current.privateKey, cert: current.certificateChain }
    const fetch = (within: AbortSignal): Promise<Credentials> =>
      fetchCredentials({ selection, as, onSent, onAnswer, ...(key && { key }) }, within)
    try {
      const credentials = await (remainingMs === Infinity
        ? fetch(signal)
        : withDeadline(Math.ceil(remainingMs), [signal], 'repeating the renewal', fetch))
      if (selection.x509) settle()
      return { credentials, by: 'certificate' }
    } catch (error) {
      if (selection.x509 && !spent) await keepPending?.(undefined)
      if (sending.tooLate || (!sending.begun && leftFor(selection) <= 0)) return undefined
      throw error
    }
  }

  /** Whether a renewal gains anything: a certificate never outlives its session. */
  const outlives = ({ session, notAfter }: Live): boolean => session.expiresAt.getTime() > notAfter.getTime() + 1_000

  return async (selection, signal) => {
    const current = live()
    let usable = current && current.notAfter.getTime() > now().getTime() + minLeftMs ? current : undefined
    if (usable && (!selection.x509 || outlives(usable))) {
      try {
        const renewed = await byCertificate(selection, usable, signal)
        if (renewed) return renewed
      } catch (error) {
        if (!isOver(error)) throw error
        warn(`the certificate can't be renewed any more, so the orchestrator's proof is presented. ${error.message}`)
        usable = undefined
      }
    }
    try {
      return await byProof(selection, signal)
    } catch (error) {
      if (!usable || !isHopeless(error)) throw error
      // The only way that is left for the rest of the session.
      const renewed = await byCertificate(selection, usable, signal).catch((second: unknown) => {
        // The fault to correct is the proof's.
        throw isOver(second) ? error : second
      })
      if (!renewed) throw error
      return renewed
    }
  }
}

/** The certificate is no longer accepted, or its session is about to end; the orchestrator's proof may be. */
const isOver = (error: unknown): error is PurserError =>
  error instanceof PurserError && ['attestation_failed', 'expires_too_soon'].includes(error.code)

/** There is no proof, or it is not accepted, such as a used join token. */
const isHopeless = (error: unknown): boolean =>
  error instanceof PurserError && ['no_proof', 'bad_proof', 'wrong_audience', 'attestation_failed'].includes(error.code)
