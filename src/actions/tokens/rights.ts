/** What a caller may pass on in a token: never more than its own token and its operator have. */
import type { AccountCaller, OperatorCaller } from '../../authorize/caller.ts'
import { type Problem, refuse } from '../../errors.ts'
import { coversBound, coversRole, coversRoutes, rightsMay } from '../../operators/rights.ts'
import type { ApiTokenRow } from '../../store/rows.ts'
import type { Context } from '../context.ts'

/** @throws Refusal `token_type` for any other caller, `forbidden` for a workload that acts as an operator */
export function accountCaller({ caller }: Pick<Context, 'caller'>): AccountCaller {
  if (caller.kind !== 'operator') throw refuse('token_type')
  if (caller.session) throw refuse('forbidden', { detail: workloadMayNot })
  return caller
}

export const workloadMayNot = 'a workload cannot do this: an operator with an account must'

/** The names of an operator in a request: its own is also `self`. */
export const operatorNamed = (caller: AccountCaller, name = 'self'): string =>
  name === 'self' ? caller.operator : name

/** @throws Refusal `forbidden` for a token of another operator, unless the caller may manage all tokens */
export function checkOwn(caller: AccountCaller, operator: string): void {
  if (operator === caller.operator || rightsMay(caller, 'tokens.write')) return
  throw refuse('forbidden', { errors: [{ pointer: '/operator', detail: 'only an admin creates tokens for others' }] })
}

/**
 * @param pointers where the request names role and routes
 * @throws Refusal `forbidden`
 */
export function checkPassedOn(
  caller: OperatorCaller,
  { role, routes, bound }: Pick<ApiTokenRow, 'role' | 'routes' | 'bound'>,
  pointers = { role: '/role', routes: '/routes', bound: '/bound' },
): void {
  const errors: Problem[] = []
  if (!coversRole(caller, role)) {
    errors.push({ pointer: pointers.role, detail: 'a caller cannot grant a role beyond their own' })
  }
  if (!coversRoutes(caller, routes)) {
    errors.push({ pointer: pointers.routes, detail: 'a caller cannot grant routes beyond those of their own token' })
  }
  if (!coversBound(caller, bound)) {
    errors.push({ pointer: pointers.bound, detail: 'a caller cannot grant a bound wider than their own' })
  }
  if (errors.length > 0) throw refuse('forbidden', { errors })
}
