import type { Change } from '../../audit/record.ts'
import type { WorkloadDefinition } from '../../authorize/grant.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { byName, updateWorkload } from '../../store/registrations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, checkRevision } from '../context.ts'
import { checkDefinition } from './check-definition.ts'
import { type CreateParts, createWorkload } from './create.ts'
import { type WrittenWorkload, writtenWorkload } from './written.ts'

/** Replaces the entry of the definition's name; an expected revision of 0 creates it. */
export function replaceWorkload(parts: CreateParts) {
  const create = createWorkload(parts)
  return async (
    context: Pick<Context, 'caller'>,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    { definition, expected }: { definition: WorkloadDefinition; expected: number },
  ): Promise<Change<WrittenWorkload>> => {
    const old = byName(snapshot.workloads, definition.name)
    checkRevision(expected, old?.revision ?? 0)
    if (!old) return create(context, tx, snapshot, definition)
    const attestor = checkDefinition(context, definition, snapshot, parts.own)
    if (attestor.id !== old.attestorId) {
      const detail = 'an entry keeps its attestor: make another, and remove this one'
      throw refuse('conflict', { errors: [{ pointer: '/attestor', detail }] })
    }
    const row = { ...old, definition, revision: old.revision + 1 }
    await updateWorkload(tx, row)
    return writtenWorkload(row, snapshot)
  }
}
