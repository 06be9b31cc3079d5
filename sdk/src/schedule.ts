/** When to renew, and what to say meanwhile: about half of a lifetime in, again with back-off, until it works or is over. */
import { PurserError, isAway } from './errors.ts'
import type { Emitter } from './events.ts'
import type { Held } from './held.ts'
import type { Wanted } from './settings.ts'

export type Schedule = {
  /** Looks at the clock and at what is held now, for example after something was used for the first time. */
  look: () => void
  close(): void
}

type Parts = {
  held: Held
  /** Asks and takes what comes. Rejects with a PurserError. */
  renew: (wanted: Wanted) => Promise<unknown>
  emit: Emitter['emit']
  /** Why the newest try failed; undefined after one that didn't. */
  lastError: () => PurserError | undefined
  now: () => number
  random: () => number
}

/** A clock may jump and a machine may sleep: the clock on the wall is looked at again at the latest then. */
const longestSleepMs = 30_000
/** From the first wait to the longest. Purser may be back any moment; a refusal lasts until somebody does something. */
const waits = { away: { shortest: 1_000, longest: 30_000 }, refused: { shortest: 5_000, longest: 60_000 } }

export function createSchedule({ held, renew, emit, lastError, now, random }: Parts): Schedule {
  let timer: NodeJS.Timeout | undefined
  let closed = false
  let busy = false
  let failures = 0
  /** Nothing is tried before. */
  let notBefore = -Infinity
  /** Of which certificate it was said already. */
  let said: { serialNumber: string; expiring: boolean; expired: boolean } | undefined

  /** Exponential, with jitter; never so long that what is held ends meanwhile though Purser is back. */
  function backOff(error: unknown): number {
    const { shortest, longest } = isRefusal(error) ? waits.refused : waits.away
    const left = (held.x509()?.endsAt ?? Infinity) - now()
    const most = Math.min(longest, left > 0 ? Math.max(left / 5, shortest) : Math.max(longest / 3, shortest))
    const wait = Math.min(shortest * 2 ** Math.min(failures - 1, 16), most) * (0.5 + random() / 2)
    const asked = isAway(error) ? (error.retryAfterSeconds ?? 0) * 1_000 : 0
    return Math.max(wait, asked)
  }

  function tell(): void {
    const x509 = held.x509()
    if (!x509) return
    const { serialNumber, notAfter } = x509.value
    if (said?.serialNumber !== serialNumber) said = { serialNumber, expiring: false, expired: false }
    const at = now()
    if (!said.expiring && at >= expiringAt(x509)) {
      said.expiring = true
      if (at < x509.endsAt) emit('expiring', { notAfter, error: lastError() })
    }
    if (!said.expired && at >= x509.endsAt) {
      said.expired = true
      emit('expired', { notAfter, error: lastError() })
    }
  }

  async function attempt(wanted: Wanted): Promise<void> {
    busy = true
    try {
      await renew(wanted)
      failures = 0
      notBefore = -Infinity
    } catch (error) {
      failures++
      notBefore = now() + backOff(error)
    } finally {
      busy = false
      look()
    }
  }

  function nextLook(): number {
    const x509 = held.x509()
    const due = busy ? Infinity : Math.max(held.nextAt(), notBefore)
    const words = x509 ? [expiringAt(x509), x509.endsAt].filter((at) => at > now()) : []
    return Math.min(due, ...words)
  }

  function look(): void {
    if (closed) return
    clearTimeout(timer)
    tell()
    const wanted = busy || now() < notBefore ? undefined : held.due(now())
    if (wanted) void attempt(wanted)
    timer = setTimeout(look, Math.min(Math.max(nextLook() - now(), 10), longestSleepMs)).unref()
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

const isRefusal = (error: unknown): boolean =>
  error instanceof PurserError && error.status !== undefined && error.status < 500 && !isAway(error)

const expiringAt = ({ gotAt, endsAt }: { gotAt: number; endsAt: number }): number => gotAt + (endsAt - gotAt) * 0.75
