/** Blocks keep a session, an instance, a SPIFFE ID, an attestor or its instances with some selectors out until their release. */
import { refuse } from '../errors.ts'
import type { SessionRow } from '../store/effects.ts'
import type { BlockRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'

/** The names of an instance in blocks of earlier versions, which include the workload entry. */
export type EntryKeyed = { underEntries?: (workloadIds: readonly string[]) => Buffer[] }
export type Blockable = Pick<SessionRow, 'id' | 'spiffeId' | 'attestorId' | 'selectors'> & {
  instance?: Buffer
} & EntryKeyed

/** The block in force that covers a session. It is read from the snapshot; the append decides on a later one. */
export function blockOf({ blocks }: Pick<Snapshot, 'blocks'>, session: Blockable, now: Date): BlockRow | undefined {
  const instances = [session.instance ?? [], session.underEntries?.(blocks.entryKeyedWorkloads()) ?? []].flat()
  const covering = [
    blocks.get('session', session.id),
    blocks.get('spiffeId', session.spiffeId),
    blocks.get('attestor', session.attestorId),
    ...blocks.ofSelectors(session.attestorId, session.selectors),
    ...instances.map((instance) => blocks.get('instance', instance.toString('hex'))),
  ]
  return covering.find((block) => block && block.until > now)
}

/** @throws Refusal `blocked` */
export function checkBlocks(snapshot: Pick<Snapshot, 'blocks'>, session: Blockable, now: Date): void {
  if (blockOf(snapshot, session, now)) throw refuse('blocked')
}
