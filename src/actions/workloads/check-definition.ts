import { attestorRules } from '../../attest/attest.ts'
import { checkWorkload } from '../../authorize/check-definition.ts'
import type { OwnRules } from '../../authorize/entry-rules.ts'
import type { WorkloadDefinition } from '../../authorize/grant.ts'
import { refuse } from '../../errors.ts'
import { byName } from '../../store/registrations.ts'
import type { AttestorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { impossible } from '../registrations.ts'

/**
 * The attestor of a definition that can be kept.
 * @throws Refusal `impossible` or `match_too_wide` with everything that is wrong, `forbidden` for a role beyond the caller's
 */
export function checkDefinition(
  { caller }: Pick<Context, 'caller'>,
  definition: WorkloadDefinition,
  snapshot: Snapshot,
  own: OwnRules,
): AttestorRow {
  const attestor = byName(snapshot.attestors, definition.attestor)
  if (!attestor) throw impossible('/attestor', 'there is no attestor of that name')
  const problems = checkWorkload(definition, attestorRules(attestor), own)
  if (problems) throw refuse(problems.code, { errors: problems.errors })
  const role = definition.grants?.operator?.role
  if (role !== undefined && role !== 'operator' && !(caller.kind === 'operator' && caller.role === 'admin')) {
    const detail = 'a caller cannot grant a role beyond their own'
    throw refuse('forbidden', { errors: [{ pointer: '/grants/operator/role', detail }] })
  }
  return attestor
}
