/** Seals an entry: canonical text, a random nonce, and the commitment that the tree hashes. */
import { canonicalize, commitment } from '@purser/sdk/verify'
import type { Action, Actor, LogEntry, EntryPart } from './entry.ts'
import { newId } from '../names/id.ts'
import { termKeys } from '../store/term-keys.ts'
import { entryTerms } from './terms.ts'

/** The facts of a request before its decision. */
export type Opening = {
  requestId: string
  action: Action
  time: Date
  actor: Actor
  source?: { ip?: string; userAgent?: string }
}

export type Sealed = { leaf: Buffer; nonce: Buffer; body: string; at: string; terms: number[] }

type SystemFacts = {
  action: Action
  time: Date
  randomBytes: (size: number) => Buffer
  /** The reason of an operator who runs a command. */
  note?: string | undefined
}

/** The opening of an entry about what Purser does itself. */
export const systemOpening = ({ action, time, randomBytes, note }: SystemFacts): Opening => ({
  requestId: newId('req', randomBytes),
  action,
  time,
  actor: { kind: 'system', ...(note !== undefined && { note }) },
})

/** Combines an opening and the part that an action adds. */
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

/** Does the expensive work before any lock is held. The entry has no index: its inclusion proof binds it. */
export function seal(entry: LogEntry, randomBytes: (size: number) => Buffer): Sealed {
  const body = canonicalize(entry)
  const nonce = randomBytes(32)
  return { leaf: commitment(nonce, body), nonce, body, at: entry.time, terms: termKeys(entryTerms(entry)) }
}

/** Seals entries about what Purser does itself, for an append without a recorder. */
export function sealSystem(facts: SystemFacts, parts: readonly EntryPart[]): Sealed[] {
  const open = systemOpening(facts)
  return parts.map((part) => seal(makeEntry(open, part), facts.randomBytes))
}
