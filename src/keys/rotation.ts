/**
 * What is due in the life of the keys: pure, from rows and clock, so that every replica comes to the same plan. A root
 * rotates only when an operator asks.
 */
import type { KeyRow } from '../store/rows.ts'
import { isRequested, isUpstream } from './keys.ts'
import { type Lifetimes, after } from './lifetimes.ts'

export type ScheduledKind = 'issuing-ca' | 'jwt-es256' | 'jwt-rs256'

export type Action =
  /** Make the next key, published from now on and signing from `activeAt`. */
  | { do: 'make'; kind: ScheduledKind; activeAt: Date }
  /** The overlap is over: the older log key signs no more. */
  | { do: 'end-log-key'; id: string }

/** What only an operator can do. */
export type Warning = {
  what: 'root_ends' | 'chain_ends'
  keyId: string
  /** When issuing stops otherwise. */
  at: Date
}

export type Plan = { actions: Action[]; warnings: Warning[] }

const scheduledKinds = ['issuing-ca', 'jwt-es256', 'jwt-rs256'] as const satisfies readonly ScheduledKind[]

const byActivity = (a: KeyRow, b: KeyRow): number => b.activeAt.getTime() - a.activeAt.getTime()

const alive = (row: KeyRow, now: Date): boolean => !row.withdrawnAt && row.goneAt > now && !isRequested(row)

/** Whether an upstream CA signs our issuing keys: the newest one, whatever became of it, was imported. */
export function underUpstream(rows: readonly KeyRow[]): boolean {
  const [newest] = rows.filter((row) => row.kind === 'issuing-ca' && !isRequested(row)).sort(byActivity)
  return newest !== undefined && newest.issuerKeyId === undefined
}

/** Our own root that signs issuing keys from `at` on. */
export const ownRoot = (rows: readonly KeyRow[], now: Date, at: Date): KeyRow | undefined =>
  rows
    .filter((row) => row.kind === 'root-ca' && alive(row, now) && !isUpstream(row) && row.activeAt <= at)
    .sort(byActivity)[0]

/**
 * Published for long enough before its first use; at the retirement of the one before, unless that was missed. Where the
 * one before won't last as long as a publication takes, half of what is left to it.
 */
function firstUse(last: KeyRow | undefined, lifetimes: Lifetimes, now: Date): Date {
  if (!last) return now
  const remainingSeconds = (last.goneAt.getTime() - now.getTime()) / 1000
  const published = after(now, Math.min(lifetimes.publish, Math.floor(remainingSeconds / 2)))
  return last.retireAt > published ? last.retireAt : published
}

export function planRotation(rows: readonly KeyRow[], lifetimes: Lifetimes, now: Date): Plan {
  const plan: Plan = { actions: [], warnings: [] }
  for (const kind of scheduledKinds) {
    const [last] = rows.filter((row) => row.kind === kind && alive(row, now)).sort(byActivity)
    if (kind === 'issuing-ca' && underUpstream(rows)) {
      if (last && endsSoon(last, lifetimes, now))
        plan.warnings.push({ what: 'chain_ends', keyId: last.id, at: last.goneAt })
      continue
    }
    if (last && last.retireAt > after(now, lifetimes.publish)) continue
    const activeAt = firstUse(last, lifetimes, now)
    if (kind === 'issuing-ca') {
      const root = ownRoot(rows, now, activeAt)
      // Under a root that ends first, a new one would end with the one that there is.
      if (!root || (last && root.goneAt <= last.goneAt)) continue
    }
    plan.actions.push({ do: 'make', kind, activeAt })
  }
  plan.warnings.push(...rootWarnings(rows, lifetimes, now))
  plan.actions.push(...logActions(rows, now))
  return plan
}

/** In the last third of its time: people need longer to answer a request than a job does. */
function endsSoon({ activeAt, retireAt }: KeyRow, { publish }: Lifetimes, now: Date): boolean {
  const third = (retireAt.getTime() - activeAt.getTime()) / 3
  return retireAt.getTime() - now.getTime() <= Math.max(third, publish * 1000)
}

/** A root must outlive what an issuing key under it lives. */
function rootWarnings(rows: readonly KeyRow[], lifetimes: Lifetimes, now: Date): Warning[] {
  if (underUpstream(rows)) return []
  const root = ownRoot(rows, now, new Date(8.64e15))
  const { publish, sign, max } = lifetimes
  const needed = after(now, publish + sign.issuingCa + max.x509)
  return root && root.goneAt < needed ? [{ what: 'root_ends', keyId: root.id, at: root.goneAt }] : []
}

function logActions(rows: readonly KeyRow[], now: Date): Action[] {
  const log = rows.filter((row) => row.kind === 'log')
  const epoch = Math.max(...log.map((row) => row.epoch ?? 0))
  const signing = log.filter((row) => row.epoch === epoch && row.toSize === undefined)
  return signing.length < 2
    ? []
    : signing.filter((row) => row.retireAt <= now).map((row) => ({ do: 'end-log-key', id: row.id }))
}
