/** The wire format of `log_append` (migrations/log-append.ts): items in, verdicts out. */
import { type Effects, addEffects } from './effects.ts'

export type AppendItem = {
  /** The revision of the policy on which the decision is based; absent for entries that any revision allows (refusals, acts of Purser). */
  revision?: number
  /** Appended also while issuing is closed, such as reads of those who review the log. */
  whileClosed?: true
  leaf: Buffer
  nonce: Buffer
  body: string
  at: string
  /** The keys of the entry's terms (term-keys.ts). */
  terms: number[]
  effects?: Effects
}

/**
 * Why an item was left out. `facts`: the facts of its session changed. `repeated`: its claim is not the first, and only a
 * first claim may release it. `lapsed`: the sweep has deleted one of its leases. `moved`: a secret that it reads or writes
 * has changed, or is locked. `unknown`: it acknowledges a version that its holder never fetched. `ended`: its session ended;
 * `generation` is the newest ended one of the instance's sessions with that SPIFFE ID.
 */
export type Verdict =
  | { kind: 'stale' | 'closed' | 'claimed' | 'facts' | 'repeated' | 'lapsed' | 'moved' | 'unknown' }
  | { kind: 'ended'; generation: number }
  /** A new epoch has begun: the process must read the head again. */
  | { kind: 'epoch' }

/** Members are written one by one: many spreads would cost as much as the rest of an append (CONTRIBUTING.md, Keep it fast). */
export function toWire(item: AppendItem, n: number): Record<string, unknown> {
  const row: Record<string, unknown> = {
    n,
    rev: item.revision ?? null,
    closed: item.whileClosed ?? false,
    leaf: item.leaf.toString('base64'),
    nonce: item.nonce.toString('base64'),
    body: item.body,
    at: item.at,
    terms: item.terms,
  }
  if (item.effects) addEffects(row, item.effects)
  return row
}

const plainVerdicts = ['stale', 'closed', 'claimed', 'facts', 'repeated', 'lapsed', 'moved', 'unknown'] as const

export function readVerdict(text: string): Verdict {
  const kind = plainVerdicts.find((verdict) => verdict === text)
  if (kind) return { kind }
  return { kind: 'ended', generation: Number(text.slice('ended:'.length)) }
}
