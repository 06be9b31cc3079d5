import { attestorRules } from '../../attest/attest.ts'
import type { AttestorSpec } from '../../attest/definition.ts'
import { checkSpiffeId } from '../../authorize/check-definition.ts'
import { entriesOf } from '../../authorize/entries.ts'
import { refuse } from '../../errors.ts'
import { byName, updateAttestor } from '../../store/registrations.ts'
import type { AttestorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { fewOf, written } from '../registrations.ts'
import { type CreateParts, createAttestor } from './create.ts'
import { attestorState, refuseBuiltIn } from './state.ts'

/** Replaces the attestor of that name; an expected revision of 0 creates it. */
export function replaceAttestor(
  parts: CreateParts,
): ChangeAction<{ spec: AttestorSpec; expected: number }, AttestorRow> {
  const create = createAttestor(parts)
  return async (context, tx, snapshot, { spec, expected }) => {
    const old = byName(snapshot.attestors, spec.name)
    checkRevision(expected, old?.revision ?? 0)
    if (!old) return create(context, tx, snapshot, spec)
    refuseBuiltIn(old)
    if (old.kind !== spec.kind) {
      const detail = 'an attestor keeps its kind: make another, and remove this one'
      throw refuse('conflict', { errors: [{ pointer: '/kind', detail }] })
    }
    const definition = await parts.attestors.checkDefinition(spec, snapshot, old.id)
    const row = { ...definition, id: old.id, revision: old.revision + 1 }
    refuseStranded(row, snapshot)
    await updateAttestor(tx, row)
    return { result: row, ...written('attestor', row, attestorState(row)) }
  }
}

/** Under another prefix every issuance of these entries would be refused. The replacement is refused instead. */
function refuseStranded(row: AttestorRow, { workloads, trustDomain }: Snapshot): void {
  const rules = attestorRules(row)
  const strandedEntries = entriesOf(workloads, row.id).filter(
    (entry) => checkSpiffeId(entry.spiffeId.text, rules, trustDomain).length > 0,
  )
  if (strandedEntries.length === 0) return
  const names = fewOf(strandedEntries.map((entry) => entry.row.name))
  throw refuse('in_use', { detail: `the SPIFFE IDs of workload entries would lie outside it: ${names}` })
}
