/** A session: one attested instance under one SPIFFE ID. Its id is derived, so that a known instance needs no look-up. */
import { type KeyObject, createHmac } from 'node:crypto'
import type { AttestorRow } from '../store/rows.ts'
import type { SessionRow } from '../store/effects.ts'
import type { Selectors } from '../names/selectors.ts'
import type { EntryKeyed } from './blocks.ts'
import type { Decision } from './decide.ts'

export type Instance = {
  attestor: AttestorRow
  selectors: Selectors
  instance: string[]
  account?: { name: string; uid: string }
  expiresAt?: Date
}

/** The lifetime of a session if neither the proof nor the entry limits it. */
const defaultSessionSeconds = 12 * 3600

/**
 * @param key the MAC key: it keeps ids unguessable. It outlives epochs, as do the blocks and claims that it names
 * @param epoch of the log, so that ids differ from those of an earlier epoch whose entries were lost
 * @param endedGeneration the newest generation of the instance's sessions with this SPIFFE ID that has ended
 */
export function openSession(
  { entry, grant }: Decision,
  caller: Instance,
  { key, epoch }: { key: KeyObject; epoch: number },
  now: Date,
  endedGeneration?: number,
): SessionRow & EntryKeyed {
  const generation = endedGeneration === undefined ? 0 : endedGeneration + 1
  const underEntry = (id: string): Buffer => mac(key, ['instance', caller.attestor.id, id, ...caller.instance])
  const own = underEntry(entry.row.id)
  const id = mac(key, ['session', epoch, own.toString('hex'), grant.spiffeId, generation])
    .toString('hex')
    .slice(0, 32)
  return {
    id: `ses_${id}`,
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
    expiresAt: sessionEnd(entry.maxSessionSeconds, caller.expiresAt, now),
  }
}

/** The name of an instance in sessions and blocks. */
export const instanceOf = (key: KeyObject, { attestor, instance }: Pick<Instance, 'attestor' | 'instance'>): Buffer =>
  mac(key, ['attested', attestor.id, ...instance])

const mac = (key: KeyObject, fields: unknown[]): Buffer =>
  createHmac('sha256', key).update(JSON.stringify(fields)).digest()

/** The session ends with its proof, unless the entry sets a lifetime. */
function sessionEnd(maxSessionSeconds: number | undefined, proofEnd: Date | undefined, now: Date): Date {
  if (maxSessionSeconds !== undefined) return new Date(now.getTime() + maxSessionSeconds * 1000)
  return proofEnd ?? new Date(now.getTime() + defaultSessionSeconds * 1000)
}
