/** When to renew: about half of a lifetime in, then with back-off; and when to report an expiring certificate. */
import type { Selection } from '../credentials/settings.ts'
import { type PurserError, isAway } from '../errors.ts'
import type { Emitter } from '../events/emitter.ts'
import type { BackOff } from './back-off.ts'
import type { HeldCredentials } from './held-credentials.ts'

type Parts = {
  held: HeldCredentials
  /** Renews and stores the selection. Rejects with a PurserError; if Purser is away, the back-off already knows. */
  renew: (selection: Selection) => Promise<unknown>
  backOff: BackOff
  emit: Emitter['emit']
  /** Why the last attempt failed; undefined after a success. */
  lastError: () => PurserError | undefined
}

/** The wall clock may jump and a machine may sleep, so the clock is read at least this often. */
const maxSleepMs = 30_000
/** The remaining part of the certificate's lifetime at which `expiring` is emitted. */
const expiringPart = 0.25

export function createSchedule({ held, renew, backOff, emit, lastError }: Parts) {
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  let isRenewing = false
  /** The events of the current certificate. */
  let emitted: { serialNumber: string; expiring: boolean; expired: boolean } | undefined

  function emitExpiry(): void {
    const x509 = held.x509()
    if (!x509) return
    const { serialNumber, notAfter } = x509.value
    if (emitted?.serialNumber !== serialNumber) emitted = { serialNumber, expiring: false, expired: false }
    if (!emitted.expiring && x509.leftMs <= x509.lifeMs * expiringPart) {
      emitted.expiring = true
      if (x509.leftMs > 0) emit('expiring', { notAfter, error: lastError() })
    }
    if (!emitted.expired && x509.leftMs <= 0) {
      emitted.expired = true
      emit('expired', { notAfter, error: lastError() })
    }
  }

  async function attempt(selection: Selection): Promise<void> {
    isRenewing = true
    try {
      await renew(selection)
      backOff.renewed()
    } catch (error) {
      if (!isAway(error)) backOff.failed(error)
    } finally {
      isRenewing = false
      check()
    }
  }

  function nextCheckMs(): number {
    const x509 = held.x509()
    const due = isRenewing ? Infinity : Math.max(held.dueInMs(), backOff.leftMs())
    const events = x509 ? [x509.leftMs - x509.lifeMs * expiringPart, x509.leftMs].filter((ms) => ms > 0) : []
    return Math.min(due, ...events)
  }

  /** Renews what is due and sets the timer, for example after a token was first used. */
  function check(): void {
    if (isClosed) return
    emitExpiry()
    // A listener may have closed the client.
    if (isClosed) return
    const selection = isRenewing || backOff.leftMs() > 0 ? undefined : held.due()
    if (selection) void attempt(selection)
    clearTimeout(timer)
    timer = setTimeout(check, Math.min(Math.max(Math.ceil(nextCheckMs()), 10), maxSleepMs)).unref()
  }

  check()
  return {
    check,
    close(): void {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
