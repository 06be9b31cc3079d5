import type { WorkloadDefinition } from '../../authorize/grant.ts'
import { operatorGrantPointers, readOperatorGrant } from '../../authorize/operator-grant.ts'
import { refuse } from '../../errors.ts'
import type { Context } from '../context.ts'
import { checkPassedOn, workloadMayNot } from '../tokens/rights.ts'

/**
 * A grant of an operator's rights is passed on by an operator with an account, which has those rights itself. A workload
 * passes on none: it cannot widen its own entry, or create another for later.
 * @param pointers where the request names role, routes and bound, or the entry
 * @throws Refusal `forbidden`
 */
export function checkOperatorGrant(
  { caller }: Pick<Context, 'caller'>,
  { grants = {} }: Pick<WorkloadDefinition, 'grants'>,
  pointers: { role: string; routes: string; bound: string } = operatorGrantPointers,
): void {
  const operator = readOperatorGrant(grants)
  if (!operator) return
  if (caller.kind !== 'operator' || caller.session) {
    throw refuse('forbidden', { errors: [{ pointer: pointers.role, detail: workloadMayNot }] })
  }
  checkPassedOn(caller, operator, pointers)
}
