import type { Change } from '../../audit/record.ts'
import { boundOf } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import { newId } from '../../names/id.ts'
import { operatorNameProblem } from '../../names/operator-name.ts'
import type { Knex } from '../../store/database.ts'
import { insertOperator } from '../../store/operators.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { ChangeAction } from '../context.ts'
import { checkName, impossible, insertUnique } from '../registrations.ts'
import { type OperatorDefinition, checkBound, operatorResource, operatorState, readWritten } from './state.ts'

export type CreateParts = { randomBytes: (size: number) => Buffer }

/** A person or automation. It has no credential until a token is created for it. */
export const createOperator =
  (parts: CreateParts): ChangeAction<OperatorDefinition, OperatorRow> =>
  async ({ caller, time }, tx, { operators }, definition) => {
    const problem = operatorNameProblem(definition.name)
    if (problem !== undefined) throw impossible('/name', problem)
    checkName(boundOf(caller), definition.name)
    const bound = readWritten(definition.bound, boundOf(caller))
    checkBound({ caller }, bound)
    if (operators.has(definition.name)) throw refuse('already_exists')
    const { bound: _, ...rest } = definition
    return newOperator(parts, tx, { ...rest, ...(bound && { bound }) }, time)
  }

/** @throws Refusal `already_exists` */
export async function newOperator(
  { randomBytes }: CreateParts,
  tx: Knex.Transaction,
  definition: Pick<OperatorRow, 'name' | 'role' | 'bound' | 'managedBy'>,
  now: Date,
): Promise<Change<OperatorRow>> {
  const row = {
    id: newId('op', randomBytes),
    ...definition,
    disabled: false,
    revision: 1,
    createdAt: now,
    updatedAt: now,
  }
  await insertUnique(insertOperator(tx, row))
  return {
    result: row,
    entry: { action: 'operator.create', resource: operatorResource(row), change: { after: operatorState(row) } },
    changed: [{ table: 'operator', where: { id: row.id } }],
  }
}
