/**
 * One attested instance under one SPIFFE ID. Its id is derived, so that the same instance continues its session without a
 * look-up.
 */
import { type KeyObject, createHmac } from 'node:crypto'
import { refuse } from '../errors.ts'
import type { AttestorRow, BlockRow } from '../store/rows.ts'
import type { SessionRow } from '../store/effects.ts'
import { blockKey } from '../store/snapshot-tables.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Selectors } from '../names/selectors.ts'
import type { Decision } from './decide.ts'

export type Instance = {
  attestor: AttestorRow
  selectors: Selectors
  instance: string[]
  account?: { name: string; uid: string }
  expiresAt?: Date
}

/** Where neither the proof nor the entry sets an end. */
const defaultSessionSeconds = 12 * 3600

/**
 * @param key the MAC key: ids can't be guessed from the facts. It outlives epochs, as do the blocks and claims made by it
 * @param epoch of the log, so that no session gets the id of one that only a lost time knew
 * @param endedGeneration the newest generation that ended, of this instance's sessions under its SPIFFE ID
 */
export function openSession(
  decision: Decision,
  caller: Instance,
  { key, epoch }: { key: KeyObject; epoch: number },
  now: Date,
  endedGeneration?: number,
): OpenedSession {
  const { entry, grant } = decision
  const generation = endedGeneration === undefined ? 0 : endedGeneration + 1
  const mac = (fields: unknown[]): Buffer => createHmac('sha256', key).update(JSON.stringify(fields)).digest()
  const underEntry = (entryId: string): Buffer => mac(['instance', caller.attestor.id, entryId, ...caller.instance])
  const own = underEntry(entry.row.id)
  const id = `ses_${mac(['session', epoch, own.toString('hex'), grant.spiffeId, generation])
    .toString('hex')
    .slice(0, 32)}`
  return {
    id,
    // Without the entry: a blocked instance stays out under every entry.
    instance: instanceOf(key, caller),
    entryKeyed: false,
    underEntries: (ids) => [own, ...ids.filter((other) => other !== entry.row.id).map(underEntry)],
    generation,
    workloadId: entry.row.id,
    attestorId: caller.attestor.id,
    spiffeId: grant.spiffeId,
    selectors: caller.selectors,
    ...(caller.account && { account: caller.account.name }),
    expiresAt: endOf(entry.maxSessionSeconds, caller.expiresAt, now),
  }
}

/** The instance as sessions and blocks name it. */
export const instanceOf = (key: KeyObject, { attestor, instance }: Pick<Instance, 'attestor' | 'instance'>): Buffer =>
  createHmac('sha256', key)
    .update(JSON.stringify(['attested', attestor.id, ...instance]))
    .digest()

/** The session ends with its proof, unless the entry says how long it lasts. */
function endOf(maxSessionSeconds: number | undefined, proofEnd: Date | undefined, now: Date): Date {
  if (maxSessionSeconds !== undefined) return new Date(now.getTime() + maxSessionSeconds * 1000)
  return proofEnd ?? new Date(now.getTime() + defaultSessionSeconds * 1000)
}

type UnderEntries = {
  /** The instance as blocks of earlier versions name it, under its own entry and under others. */
  underEntries?: (workloadIds: readonly string[]) => Buffer[]
}
type OpenedSession = SessionRow & UnderEntries
export type Blockable = Pick<SessionRow, 'id' | 'spiffeId'> & { instance?: Buffer } & UnderEntries

/** The block that covers a session, where there is one. Read from the snapshot: the append judges anew on a later one. */
export function blockOf(snapshot: Pick<Snapshot, 'blocks'>, session: Blockable, now: Date): BlockRow | undefined {
  const instances = [session.instance ?? [], session.underEntries?.(blockedEntries(snapshot.blocks)) ?? []].flat()
  const blocks = [
    blockKey('session', session.id),
    blockKey('spiffeId', session.spiffeId),
    ...instances.map((instance) => blockKey('instance', instance.toString('hex'))),
  ]
  return blocks.map((key) => snapshot.blocks.get(key)).find((block) => block && block.until > now)
}

const entriesOfBlocks = new WeakMap<Snapshot['blocks'], string[]>()

/** The entries that blocks of earlier versions are keyed by. */
function blockedEntries(blocks: Snapshot['blocks']): string[] {
  const known = entriesOfBlocks.get(blocks)
  if (known) return known
  const ids = [...new Set([...blocks.values()].flatMap(({ workloadId }) => workloadId ?? []))]
  entriesOfBlocks.set(blocks, ids)
  return ids
}

/** @throws Refusal `blocked` */
export function checkBlocks(snapshot: Pick<Snapshot, 'blocks'>, session: Blockable, now: Date): void {
  if (blockOf(snapshot, session, now)) throw refuse('blocked')
}
