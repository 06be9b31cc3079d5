/** Blocks keep a session, an instance or a SPIFFE ID out until an operator releases them. */
import { refuse } from '../errors.ts'
import type { SessionRow } from '../store/effects.ts'
import type { BlockRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { blockKey } from '../store/snapshot-tables.ts'

/** The names of an instance in blocks of earlier versions, which include the workload entry. */
export type EntryKeyed = { underEntries?: (workloadIds: readonly string[]) => Buffer[] }
export type Blockable = Pick<SessionRow, 'id' | 'spiffeId'> & { instance?: Buffer } & EntryKeyed

/** The block in force that covers a session. It is read from the snapshot; the append decides on a later one. */
export function blockOf(snapshot: Pick<Snapshot, 'blocks'>, session: Blockable, now: Date): BlockRow | undefined {
  const instances = [session.instance ?? [], session.underEntries?.(blockedEntries(snapshot.blocks)) ?? []].flat()
  const keys = [
    blockKey('session', session.id),
    blockKey('spiffeId', session.spiffeId),
    ...instances.map((instance) => blockKey('instance', instance.toString('hex'))),
  ]
  return keys.map((key) => snapshot.blocks.get(key)).find((block) => block && block.until > now)
}

const entriesOfBlocks = new WeakMap<Snapshot['blocks'], string[]>()

/** The workload entries in the keys of blocks of earlier versions. */
function blockedEntries(blocks: Snapshot['blocks']): string[] {
  const cached = entriesOfBlocks.get(blocks)
  if (cached) return cached
  const ids = [...new Set([...blocks.values()].flatMap(({ workloadId }) => workloadId ?? []))]
  entriesOfBlocks.set(blocks, ids)
  return ids
}

/** @throws Refusal `blocked` */
export function checkBlocks(snapshot: Pick<Snapshot, 'blocks'>, session: Blockable, now: Date): void {
  if (blockOf(snapshot, session, now)) throw refuse('blocked')
}
