import type { Attestors } from '../../attest/attest.ts'
import type { AttestorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { checked, findByName, managedBy } from '../registrations.ts'
import { type CreateParts, createAttestor } from './create.ts'
import { deleteAttestor } from './delete.ts'
import { replaceAttestor } from './replace.ts'
import { isBuiltIn } from './state.ts'

export type AttestorActionParts = CreateParts & { attestors: Pick<Attestors, 'open'> }
const builtInCheck = { ok: true, what: 'join tokens are kept here: there is nothing to reach' }

export const createAttestorActions = (parts: AttestorActionParts) => ({
  list: ({ attestors }: Snapshot, manager?: string): AttestorRow[] => managedBy(attestors.values(), manager),
  get: ({ attestors }: Snapshot, name: string): AttestorRow => findByName(attestors, name),
  create: createAttestor(parts),
  replace: replaceAttestor(parts),
  delete: deleteAttestor,
  /** Reaches the attestor's orchestrator. It is no change, since a transaction never waits for a network. */
  check: async ({ time }: Pick<Context, 'time'>, snapshot: Snapshot, name: string) => {
    const row = findByName(snapshot.attestors, name)
    return checked('attestor', row, isBuiltIn(row) ? [builtInCheck] : await parts.attestors.open(row).check(time))
  },
})
