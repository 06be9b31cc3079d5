import { boundOf } from '../../authorize/caller.ts'
import type { WorkloadDefinition } from '../../authorize/grant.ts'
import { refuse } from '../../errors.ts'
import { byName, updateWorkload } from '../../store/registrations.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { type CreateParts, checkDefinition, createWorkload } from './create.ts'
import { type WrittenWorkload, writtenWorkload } from './state.ts'

/** Replaces the entry of the definition's name; an expected revision of 0 creates it. */
export function replaceWorkload(
  parts: CreateParts,
): ChangeAction<{ definition: WorkloadDefinition; expected: number }, WrittenWorkload> {
  const create = createWorkload(parts)
  return async (context, tx, snapshot, { definition, expected }) => {
    const old = byName(snapshot.workloads, definition.name)
    checkRevision(expected, old?.revision ?? 0)
    if (!old) return create(context, tx, snapshot, definition)
    const attestor = checkDefinition(context, definition, snapshot, parts.own)
    if (attestor.id !== old.attestorId) {
      const detail = 'an entry keeps its attestor: make another, and remove this one'
      throw refuse('conflict', { errors: [{ pointer: '/attestor', detail }] })
    }
    const { bound: _, ...rest } = old
    const bound = boundOf(context.caller)
    const row = { ...rest, definition, revision: old.revision + 1, ...(bound && { bound }) }
    await updateWorkload(tx, row)
    return writtenWorkload(row, snapshot)
  }
}
