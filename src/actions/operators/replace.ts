import type { OperatorRow } from '../../store/rows.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { type CreateParts, createOperator } from './create.ts'
import { type OperatorDefinition, updated } from './state.ts'

/** Gives an operator another role, or creates it where the expected revision is 0. Its tokens follow at once. */
export function replaceOperator(
  parts: CreateParts,
): ChangeAction<{ definition: OperatorDefinition; expected: number }, OperatorRow> {
  const create = createOperator(parts)
  return async (context, tx, snapshot, { definition, expected }) => {
    const old = snapshot.operators.get(definition.name)
    checkRevision(expected, old?.revision ?? 0)
    if (!old) return create(context, tx, snapshot, definition)
    return updated(tx, snapshot, old, { role: definition.role }, context.time)
  }
}
