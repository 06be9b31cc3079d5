import { attestorRules } from '../../attest/attest.ts'
import { checkWorkload } from '../../authorize/check-definition.ts'
import type { OwnRules } from '../../authorize/entry-rules.ts'
import type { WorkloadDefinition } from '../../authorize/grant.ts'
import { boundOf } from '../../authorize/caller.ts'
import { outsideBound } from '../../authorize/check-bound.ts'
import { refuse } from '../../errors.ts'
import { newId } from '../../names/id.ts'
import { byName, insertWorkload } from '../../store/registrations.ts'
import type { AttestorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { ChangeAction, Context } from '../context.ts'
import { checkName, impossible, insertUnique } from '../registrations.ts'
import { checkOperatorGrant } from './operator-grant.ts'
import { type WrittenWorkload, writtenWorkload } from './state.ts'

export type CreateParts = {
  randomBytes: (size: number) => Buffer
  /** Names, audiences and claims that no entry may grant. */
  own: OwnRules
}

export const createWorkload =
  ({ randomBytes, own }: CreateParts): ChangeAction<WorkloadDefinition, WrittenWorkload> =>
  async (context, tx, snapshot, definition) => {
    const { name } = definition
    const bound = boundOf(context.caller)
    checkName(bound, name)
    if (byName(snapshot.workloads, name)) throw refuse('already_exists')
    const { id: attestorId } = checkDefinition(context, definition, snapshot, own)
    const row = {
      id: newId('wl', randomBytes),
      name,
      attestorId,
      definition,
      disabled: false,
      revision: 1,
      ...(bound && { bound }),
    }
    await insertUnique(insertWorkload(tx, row))
    const { entry, ...change } = writtenWorkload(row, snapshot)
    return { ...change, entry: { action: 'workload.create', ...entry } }
  }

/** The limit in openapi.yaml. */
const maxErrors = 20

/**
 * The attestor of a definition that can be kept.
 * @throws Refusal `impossible` or `match_too_wide` with everything that is wrong, `forbidden` for what is beyond the caller's role or
 * bound
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
  const outside = outsideBound(definition, boundOf(caller))
  if (outside.length > 0) throw refuse('forbidden', { errors: outside.slice(0, maxErrors) })
  checkOperatorGrant({ caller }, definition)
  return attestor
}
