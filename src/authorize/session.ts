/**
 * One attested instance under one SPIFFE ID. Its id is derived, so that the same instance continues its session without a
 * look-up.
 */
import { type KeyObject, createHmac } from 'node:crypto'
import { refuse } from '../errors.ts'
import type { AttestorRow, BlockRow } from '../store/rows.ts'
import type { SessionRow } from '../store/log.ts'
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
): SessionRow {
  const { entry, grant } = decision
  const generation = endedGeneration === undefined ? 0 : endedGeneration + 1
  const mac = (fields: unknown[]): Buffer => createHmac('sha256', key).update(JSON.stringify(fields)).digest()
  // Without the SPIFFE ID: whoever is kept out stays out under another name.
  const instance = mac(['instance', caller.attestor.id, entry.row.id, ...caller.instance])
  const id = `ses_${mac(['session', epoch, instance.toString('hex'), grant.spiffeId, generation])
    .toString('hex')
    .slice(0, 32)}`
  return {
    id,
    instance,
    generation,
    workloadId: entry.row.id,
    attestorId: caller.attestor.id,
    spiffeId: grant.spiffeId,
    selectors: caller.selectors,
    ...(caller.account && { account: caller.account.name }),
    expiresAt: endOf(entry.maxSessionSeconds, caller.expiresAt, now),
  }
}

/** The session ends with its proof, unless the entry says how long it lasts. */
function endOf(maxSessionSeconds: number | undefined, proofEnd: Date | undefined, now: Date): Date {
  if (maxSessionSeconds !== undefined) return new Date(now.getTime() + maxSessionSeconds * 1000)
  return proofEnd ?? new Date(now.getTime() + defaultSessionSeconds * 1000)
}

type Blockable = Pick<SessionRow, 'id' | 'spiffeId'> & { instance?: Buffer }

/** The block that covers a session, where there is one. Read from the snapshot: the append judges anew on a later one. */
export function blockOf(known: Pick<Snapshot, 'blocks'>, session: Blockable, now: Date): BlockRow | undefined {
  const blocks = [
    blockKey('session', session.id),
    blockKey('spiffeId', session.spiffeId),
    ...(session.instance ? [blockKey('instance', session.instance.toString('hex'))] : []),
  ]
  return blocks.map((key) => known.blocks.get(key)).find((block) => block && block.until > now)
}

/** @throws Refusal `blocked` */
export function checkBlocks(known: Pick<Snapshot, 'blocks'>, session: Blockable, now: Date): void {
  if (blockOf(known, session, now)) throw refuse('blocked')
}
