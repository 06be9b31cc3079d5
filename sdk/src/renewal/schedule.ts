/** When to renew, and what to say meanwhile: about half of a lifetime in, again with back-off, until it works or is over. */
import type { BackOff } from './back-off.ts'
import { type PurserError, isAway } from '../errors.ts'
import type { Emitter } from '../events/emitter.ts'
import type { Held } from './held-credentials.ts'
import type { Wanted } from '../credentials/settings.ts'

export type Schedule = {
  /** Looks at the clock and at what is held now, for example after something was used for the first time. */
  look: () => void
  close(): void
}

type Parts = {
  held: Held
  /** Asks and takes what comes. Rejects with a PurserError; that Purser is away, the back-off is told by it. */
  renew: (wanted: Wanted) => Promise<unknown>
  backOff: BackOff
  emit: Emitter['emit']
  /** Why the newest try failed; undefined after one that didn't. */
  lastError: () => PurserError | undefined
}

/** A clock may jump and a machine may sleep: the clock on the wall is looked at again at the latest then. */
const maxSleepMs = 30_000
/** Part of the certificate's lifetime that is left when it is told that it could not be renewed yet. */
const expiring = 0.25

export function createSchedule({ held, renew, backOff, emit, lastError }: Parts): Schedule {
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let busy = false
  /** Of which certificate it was said already. */
  let said: { serialNumber: string; expiring: boolean; expired: boolean } | undefined

  function tell(): void {
    const x509 = held.x509()
    if (!x509) return
    const { serialNumber, notAfter } = x509.value
    if (said?.serialNumber !== serialNumber) said = { serialNumber, expiring: false, expired: false }
    if (!said.expiring && x509.leftMs <= x509.lifeMs * expiring) {
      said.expiring = true
      if (x509.leftMs > 0) emit('expiring', { notAfter, error: lastError() })
    }
    if (!said.expired && x509.leftMs <= 0) {
      said.expired = true
      emit('expired', { notAfter, error: lastError() })
    }
  }

  async function attempt(wanted: Wanted): Promise<void> {
    busy = true
    try {
      await renew(wanted)
      backOff.renewed()
    } catch (error) {
      if (!isAway(error)) backOff.failed(error)
    } finally {
      busy = false
      look()
    }
  }

  function nextLookMs(): number {
    const x509 = held.x509()
    const due = busy ? Infinity : Math.max(held.dueInMs(), backOff.leftMs())
    const words = x509 ? [x509.leftMs - x509.lifeMs * expiring, x509.leftMs].filter((ms) => ms > 0) : []
    return Math.min(due, ...words)
  }

  function look(): void {
    if (closed) return
    tell()
    // Whoever was told may have closed it.
    if (closed) return
    const wanted = busy || backOff.leftMs() > 0 ? undefined : held.due()
    if (wanted) void attempt(wanted)
    clearTimeout(timer)
    timer = setTimeout(look, Math.min(Math.max(Math.ceil(nextLookMs()), 10), maxSleepMs)).unref()
  }

  look()
  return {
    look,
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}
