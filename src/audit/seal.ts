/** Turns an entry into what is kept: canonical text, a fresh nonce, and the commitment that the tree hashes. */
import { canonicalize, commitment } from '@purser/sdk/verify'
import type { Action, Actor, LogEntry, EntryPart } from './entry.ts'
import { termKeys } from '../store/term-keys.ts'
import { entryTerms } from './terms.ts'

/** What is known of a request before anything is decided. */
export type Opening = {
  requestId: string
  action: Action
  time: Date
  actor: Actor
  source?: { ip?: string; userAgent?: string }
}

export type Sealed = { leaf: Buffer; nonce: Buffer; body: string; at: string; terms: number[] }

/** The entry of an opening and what the handler added to it. */
export function makeEntry(open: Opening, part: EntryPart & { reason?: LogEntry['reason'] }): LogEntry {
  const { actor, outcome, action, reason, ...rest } = part
  return {
    v: 1,
    time: open.time.toISOString(),
    requestId: open.requestId,
    action: action ?? open.action,
    outcome: outcome ?? 'granted',
    ...(reason && { reason }),
    actor: Object.assign({}, open.actor, actor),
    ...(open.source && { source: open.source }),
    ...rest,
  }
}

/** Everything costly happens here, before any lock: the index is not in the entry, the proof binds it. */
export function seal(entry: LogEntry, randomBytes: (size: number) => Buffer): Sealed {
  const body = canonicalize(entry)
  const nonce = randomBytes(32)
  return { leaf: commitment(nonce, body), nonce, body, at: entry.time, terms: termKeys(entryTerms(entry)) }
}
