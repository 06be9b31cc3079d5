import type { OperatorRow } from '../../store/rows.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { impossible } from '../registrations.ts'
import { type CreateParts, createOperator } from './create.ts'
import { type OperatorDefinition, checkBound, checkTarget, readWritten, updated } from './state.ts'

/** Gives an operator another role, bound or manager, or creates it where the expected revision is 0. Its tokens follow at once. */
export function replaceOperator(
  parts: CreateParts,
): ChangeAction<{ definition: OperatorDefinition; expected: number }, OperatorRow> {
  const create = createOperator(parts)
  return async (context, tx, snapshot, { definition, expected }) => {
    const old = snapshot.operators.get(definition.name)
    checkRevision(expected, old?.revision ?? 0)
    if (!old) return create(context, tx, snapshot, definition)
    checkTarget(context, old)
    // A program that knows no bounds must not lift one.
    if (definition.bound === undefined && old.bound) {
      throw impossible('/bound', 'the operator has a bound: send it, another one, or "everything"')
    }
    const bound = readWritten(definition.bound, undefined)
    checkBound(context, bound)
    const { role, managedBy } = definition
    return updated(tx, snapshot, old, { role, bound, managedBy }, context.time)
  }
}
