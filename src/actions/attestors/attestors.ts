import type { Attestors } from '../../attest/attest.ts'
import type { AttestorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { findByName, managedBy } from '../registrations.ts'
import { checkAttestor } from './check.ts'
import { type CreateParts, createAttestor } from './create.ts'
import { deleteAttestor } from './delete.ts'
import { replaceAttestor } from './replace.ts'

export type AttestorActionParts = CreateParts & { attestors: Pick<Attestors, 'open'> }
export type AttestorActions = ReturnType<typeof createAttestorActions>

export const createAttestorActions = (parts: AttestorActionParts) => ({
  list: ({ attestors }: Snapshot, manager?: string): AttestorRow[] => managedBy(attestors.values(), manager),
  get: ({ attestors }: Snapshot, name: string): AttestorRow => findByName(attestors, name),
  create: createAttestor(parts),
  replace: replaceAttestor(parts),
  delete: deleteAttestor,
  check: checkAttestor(parts),
})
