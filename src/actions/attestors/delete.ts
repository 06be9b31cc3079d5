import { entriesOf } from '../../authorize/entries.ts'
import { refuse } from '../../errors.ts'
import { revocationsAt } from '../../store/blocks.ts'
import { removeRegistration } from '../../store/registrations.ts'
import type { ChangeAction } from '../context.ts'
import { type NamedRevision, fewOf, findAtRevision, removed } from '../registrations.ts'
import { refuseBuiltIn } from './state.ts'

/** @throws Refusal `in_use` while workload entries or blocks refer to it */
export const deleteAttestor: ChangeAction<NamedRevision> = async ({ time }, tx, snapshot, target) => {
  const row = findAtRevision(snapshot.attestors, target)
  refuseBuiltIn(row)
  const users = entriesOf(snapshot.workloads, row.id).map((entry) => entry.row.name)
  if (users.length > 0) throw refuse('in_use', { detail: `workload entries use it: ${fewOf(users)}` })
  // A new attestor of the same name has another id, and a block names an instance by that id: it would block nothing.
  const revocations = await revocationsAt(tx, row.id, time)
  if (revocations.length > 0) {
    throw refuse('in_use', { detail: `blocks of its instances are in force; release them: ${fewOf(revocations)}` })
  }
  await removeRegistration(tx, 'attestor', row.id, time)
  return removed('attestor', row)
}
