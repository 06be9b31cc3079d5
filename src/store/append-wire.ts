/** The wire format of `log_append` (migrations/log-append.ts): items in, verdicts out. */
import { addEffects } from './effects.ts'
import type { AppendItem, Verdict } from './log.ts'

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

const plainVerdicts = ['stale', 'closed', 'claimed', 'facts', 'repeated', 'lapsed'] as const

export function readVerdict(text: string): Verdict {
  const kind = plainVerdicts.find((verdict) => verdict === text)
  if (kind) return { kind }
  return { kind: 'ended', generation: Number(text.slice('ended:'.length)) }
}
