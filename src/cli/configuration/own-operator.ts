import type { Api } from '../api.ts'
import { usageError } from '../io.ts'
import type { PlanItem } from './plan.ts'

/**
 * A change of the operator who applies ends its own requests, in the middle of the work.
 * @throws CliError
 */
export async function refuseOwnOperator(api: Api, items: readonly PlanItem[]): Promise<void> {
  const names = items.flatMap(({ kind, name, action }) =>
    kind === 'operator' && (action === 'change' || action === 'delete') ? [name] : [],
  )
  if (names.length === 0) return
  const { operator } = (await api.call('GET', '/api/v1/credentials/self')).body
  if (operator === undefined || !names.includes(operator)) return
  throw usageError(`operator ${operator} is the one that you act as: let another operator change or delete it`)
}
