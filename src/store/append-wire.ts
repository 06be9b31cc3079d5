/** Items and verdicts of an append as `log_append` takes and answers them (migrations/log-append.ts). */
import type { AppendItem, Verdict } from './log.ts'

const b64 = (bytes: Buffer): string => bytes.toString('base64')

/** Written member by member: an object of many spreads costs as much as the rest of an append (CONTRIBUTING.md, Keep it fast). */
export function wire(item: AppendItem, n: number): Record<string, unknown> {
  const { claim, session, token } = item
  const row: Record<string, unknown> = {
    n,
    rev: item.revision ?? null,
    closed: item.whileClosed ?? false,
    leaf: b64(item.leaf),
    nonce: b64(item.nonce),
    body: item.body,
    at: item.at,
    terms: item.terms,
  }
  if (item.use) row['use'] = item.use
  if (item.alive) row['alive'] = item.alive
  const facts = session ? session.facts : item.facts
  if (facts !== undefined) row['facts'] = facts
  if (item.reads) row['reads'] = item.reads
  if (item.leases) row['leases'] = item.leases
  if (claim) {
    const { key, holder, until, first } = claim
    row['claim'] = { key: b64(key), holder: b64(holder), until, ...(first && { first }) }
  }
  if (session) {
    row['session'] = {
      id: session.id,
      instance: b64(session.instance),
      entryKeyed: session.entryKeyed,
      generation: session.generation,
      workload: session.workloadId,
      attestor: session.attestorId,
      spiffeId: session.spiffeId,
      selectors: session.selectors,
      account: session.account ?? null,
      until: session.expiresAt,
    }
  }
  if (token) row['token'] = { id: token.id, hash: b64(token.hash), session: token.sessionId, until: token.expiresAt }
  return row
}

const plainVerdicts = ['stale', 'closed', 'claimed', 'facts', 'repeated', 'lapsed'] as const

export function readVerdict(text: string): Verdict {
  const kind = plainVerdicts.find((verdict) => verdict === text)
  if (kind) return { kind }
  return { kind: 'ended', generation: Number(text.slice('ended:'.length)) }
}
