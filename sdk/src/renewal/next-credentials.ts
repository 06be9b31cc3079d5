/**
 * The next credentials: by the live certificate first, which costs Purser no look at the orchestrator, and by the
 * orchestrator's proof where that doesn't do. Each serial number renews once, so what was sent is never sent again later.
 */
import { type KeyObject, createPrivateKey } from 'node:crypto'
import { withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { type Credentials, type FetchCredentials, makeKey } from '../credentials/fetch-credentials.ts'
import { type Clocks, type Sent, leftToRepeat, sentBefore, sentNow } from './repeat-window.ts'
import type { PendingKey } from '../state/identity-file.ts'
import type { Wanted } from '../credentials/settings.ts'

export type By = 'certificate' | 'proof'
type Renewed = { given: Credentials; by: By }
export type Renew = (wanted: Wanted, signal: AbortSignal) => Promise<Renewed>

type Live = { certificateChain: string; privateKey: string; notAfter: Date; session: { expiresAt: Date } }

export type RenewParts = Clocks & {
  fetchCredentials: FetchCredentials
  /** The certificate that is held, with its session; undefined where none can be presented. */
  live: () => Live | undefined
  warn: (warning: string) => void
  /**
   * Keeps what is about to be sent for a process that takes over from this one; undefined: nothing came of it.
   * @returns false where that process would find the certificate, and not that it may be spent
   */
  keepPending?: (pending: PendingKey | undefined) => Promise<boolean>
  /** Where an earlier process was cut off in the middle of a renewal. */
  pending?: PendingKey
}

/** A certificate that ends sooner is not presented any more. */
const minMs = 2_000

const pem = (key: KeyObject): string => String(key.export({ type: 'pkcs8', format: 'pem' }))

export function createRenew(parts: RenewParts): Renew {
  const { fetchCredentials, live, now, warn, keepPending } = parts
  const { privateKey, sentAt } = parts.pending ?? {}
  /** To be certified next. */
  let next = privateKey === undefined ? undefined : createPrivateKey(privateKey)
  /** Of the certificate that is held; undefined while it is known that nothing came of it. */
  let spent: Sent | undefined = sentAt && sentBefore(sentAt, parts, next)

  /** A certificate came, whose serial number was never sent. */
  function settle(): void {
    next = undefined
    spent = undefined
  }

  const keyFor = async ({ x509 }: Wanted): Promise<KeyObject | undefined> =>
    !x509 || x509.generateKey ? undefined : (next ??= await makeKey())

  /** Milliseconds for which to present the certificate can't look as if two held it. */
  function leftFor({ x509 }: Wanted): number {
    if (!spent) return Infinity
    return spent.key && spent.key === next && !x509?.generateKey ? leftToRepeat(spent, parts) : 0
  }

  async function byProof(wanted: Wanted, signal: AbortSignal): Promise<Renewed> {
    const key = await keyFor(wanted)
    const given = await fetchCredentials({ wanted, ...(key && { key }) }, signal)
    if (wanted.x509) settle()
    return { given, by: 'proof' }
  }

  async function prepare(key: KeyObject | undefined): Promise<boolean> {
    const pending = { ...(key && { privateKey: pem(key) }), sentAt: spent?.at ?? now() }
    return (await keepPending?.(pending)) ?? true
  }

  /** @returns undefined where it was not sent: it would have come too late, or a restart would not know of it */
  async function byCertificate(wanted: Wanted, held: Live, signal: AbortSignal): Promise<Renewed | undefined> {
    const left = leftFor(wanted)
    if (left <= 0) return undefined
    const key = await keyFor(wanted)
    if (wanted.x509 && !(await prepare(key))) return undefined
    let before = spent
    const sending = { begun: false, tooLate: false }
    // Looked at as it is written, each time: a connection may take long, and a server that is busy is asked again.
    const onSent = (): void => {
      sending.tooLate = leftFor(wanted) <= 0
      if (sending.tooLate) throw new PurserError('timeout', 'it took too long to ask for the same renewal again')
      sending.begun = true
      before = spent
      if (wanted.x509) spent ??= sentNow(parts, key)
    }
    // A refusal did nothing. Not so 5xx: what was written before it is not known (DESIGN.md, The log).
    const onAnswer = (status: number): void => {
      if (status >= 400 && status < 500) spent = before
    }
    const as = { key: held.privateKey, cert: held.certificateChain }
    const fetch = (within: AbortSignal): Promise<Credentials> =>
      fetchCredentials({ wanted, as, onSent, onAnswer, ...(key && { key }) }, within)
    try {
      const given = await (left === Infinity
        ? fetch(signal)
        : withDeadline(Math.ceil(left), [signal], 'asking for the same renewal again', fetch))
      if (wanted.x509) settle()
      return { given, by: 'certificate' }
    } catch (error) {
      if (wanted.x509 && !spent) await keepPending?.(undefined)
      if (sending.tooLate || (!sending.begun && leftFor(wanted) <= 0)) return undefined
      throw error
    }
  }

  /** Whether there is anything to be gained from it: a certificate never outlives its session. */
  const outlives = ({ session, notAfter }: Live): boolean => session.expiresAt.getTime() > notAfter.getTime() + 1_000

  return async (wanted, signal) => {
    const held = live()
    let usable = held && held.notAfter.getTime() > now().getTime() + minMs ? held : undefined
    if (usable && (!wanted.x509 || outlives(usable))) {
      try {
        const renewed = await byCertificate(wanted, usable, signal)
        if (renewed) return renewed
      } catch (error) {
        if (!isOver(error)) throw error
        warn(`the certificate renews no more, so the orchestrator's proof is presented. ${error.message}`)
        usable = undefined
      }
    }
    try {
      return await byProof(wanted, signal)
    } catch (error) {
      if (!usable || !isHopeless(error)) throw error
      // The only way left, for what remains of the session.
      const renewed = await byCertificate(wanted, usable, signal).catch((second: unknown) => {
        // What has to be mended is the proof.
        throw isOver(second) ? error : second
      })
      if (!renewed) throw error
      return renewed
    }
  }
}

/** The certificate proves nothing any more, or its session is about to end; the orchestrator's word still may do. */
const isOver = (error: unknown): error is PurserError =>
  error instanceof PurserError && ['attestation_failed', 'expires_too_soon'].includes(error.code)

/** No proof, or none that is accepted: a join token that was used, for example. */
const isHopeless = (error: unknown): boolean =>
  error instanceof PurserError && ['no_proof', 'bad_proof', 'wrong_audience', 'attestation_failed'].includes(error.code)
