/**
 * The next credentials: by the live certificate first, which costs Purser no look at the orchestrator, and by the
 * orchestrator's proof where that doesn't do. Each serial number renews once, so what was sent is never sent again later.
 */
import { type KeyObject, createPrivateKey } from 'node:crypto'
import { PurserError } from './errors.ts'
import { type Credentials, type FetchCredentials, makeKey } from './fetch-credentials.ts'
import type { PendingKey } from './kept-identity.ts'
import type { Wanted } from './settings.ts'

export type By = 'certificate' | 'proof'
type Renewed = { given: Credentials; by: By }
export type Renew = (wanted: Wanted, signal: AbortSignal) => Promise<Renewed>

type Live = { certificateChain: string; privateKey: string; notAfter: Date; session: { expiresAt: Date } }

export type RenewParts = {
  fetchCredentials: FetchCredentials
  /** The certificate that is held, with its session; undefined where none can be presented. */
  live: () => Live | undefined
  now: () => Date
  warn: (warning: string) => void
  /** Keeps what is about to be sent for a process that takes over from this one; undefined: it was answered. */
  keepPending?: (pending: PendingKey | undefined) => Promise<void>
  /** Where an earlier process was cut off in the middle of a renewal. */
  pending?: PendingKey
}

/** The server serves a spent serial number again for the same key within 60 s (DESIGN.md, Attestation). */
const repeatMs = 50_000
/** A certificate that ends sooner is not presented any more. */
const leastMs = 2_000
/** Nothing to be lost any more by presenting one that may be spent. */
const lastMs = 10_000

const pem = (key: KeyObject): string => String(key.export({ type: 'pkcs8', format: 'pem' }))

export function createRenew(parts: RenewParts): Renew {
  const { fetchCredentials, live, now, warn, keepPending } = parts
  const { privateKey, sentAt } = parts.pending ?? {}
  let pending: { key: KeyObject; sentAt: number | undefined } | undefined =
    privateKey === undefined ? undefined : { key: createPrivateKey(privateKey), sentAt: sentAt?.getTime() }
  /** Without a key of our own a repeated request would be another one. */
  let spentAt = privateKey === undefined ? sentAt?.getTime() : undefined

  /** A certificate came, whose serial number was never sent. */
  function settle(): void {
    pending = undefined
    spentAt = undefined
  }

  const keyFor = async ({ x509 }: Wanted): Promise<KeyObject | undefined> => {
    if (!x509 || x509.generateKey) return undefined
    pending ??= { key: await makeKey(), sentAt: undefined }
    return pending.key
  }

  async function byProof(wanted: Wanted, signal: AbortSignal): Promise<Renewed> {
    const key = await keyFor(wanted)
    const given = await fetchCredentials({ wanted, ...(key && { key }) }, signal)
    if (wanted.x509) settle()
    return { given, by: 'proof' }
  }

  async function byCertificate(wanted: Wanted, held: Live, signal: AbortSignal): Promise<Renewed> {
    const key = await keyFor(wanted)
    const first = pending?.sentAt ?? spentAt ?? now().getTime()
    if (wanted.x509) await keepPending?.({ ...(key && { privateKey: pem(key) }), sentAt: new Date(first) })
    const before = { sentAt: pending?.sentAt, spentAt }
    let sent = 0
    const onSent = (): void => {
      sent++
      if (!wanted.x509) return
      if (pending) pending.sentAt ??= now().getTime()
      else spentAt ??= now().getTime()
    }
    const as = { key: held.privateKey, cert: held.certificateChain }
    try {
      const given = await fetchCredentials({ wanted, as, onSent, ...(key && { key }) }, signal)
      if (wanted.x509) settle()
      return { given, by: 'certificate' }
    } catch (error) {
      if (sent === 1 && didNothing(error)) {
        if (pending) pending.sentAt = before.sentAt
        spentAt = before.spentAt
        if (wanted.x509 && before.sentAt === undefined && before.spentAt === undefined) await keepPending?.(undefined)
      }
      throw error
    }
  }

  /** Whether to present it can't look as if two held it. */
  const mayPresent = (): boolean =>
    spentAt === undefined && (pending?.sentAt === undefined || now().getTime() - pending.sentAt < repeatMs)

  /** Whether there is anything to be gained from it: a certificate never outlives its session. */
  const outlives = ({ session, notAfter }: Live): boolean => session.expiresAt.getTime() > notAfter.getTime() + 1_000

  const isEnding = ({ notAfter }: Live): boolean => notAfter.getTime() - now().getTime() < lastMs

  return async (wanted, signal) => {
    const held = live()
    let usable = held && held.notAfter.getTime() > now().getTime() + leastMs ? held : undefined
    if (usable && mayPresent() && (!wanted.x509 || outlives(usable))) {
      try {
        return await byCertificate(wanted, usable, signal)
      } catch (error) {
        if (!isOver(error)) throw error
        warn(`the certificate renews no more, so the orchestrator's proof is presented. ${error.message}`)
        usable = undefined
      }
    }
    try {
      return await byProof(wanted, signal)
    } catch (error) {
      // The only way left, for what remains of the session. Whether it was spent matters no more when it is about to end.
      if (!usable || !isHopeless(error) || !(mayPresent() || isEnding(usable))) throw error
      return await byCertificate(wanted, usable, signal).catch((second: unknown) => {
        // What has to be mended is the proof.
        throw isOver(second) ? error : second
      })
    }
  }
}

/** The certificate proves nothing any more, or its session is about to end; the orchestrator's word still may do. */
const isOver = (error: unknown): error is PurserError =>
  error instanceof PurserError && ['attestation_failed', 'expires_too_soon'].includes(error.code)

/** No proof, or none that is accepted: a join token that was used, for example. */
const isHopeless = (error: unknown): boolean =>
  error instanceof PurserError && ['no_proof', 'bad_proof', 'wrong_audience', 'attestation_failed'].includes(error.code)

/** A refusal is an answer. Not so 5xx: what was written before it is not known (DESIGN.md, The log). */
const didNothing = (error: unknown): boolean =>
  error instanceof PurserError && error.status !== undefined && error.status < 500
