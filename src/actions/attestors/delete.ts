import type { Change } from '../../audit/record.ts'
import { entriesOf } from '../../authorize/entries.ts'
import { refuse } from '../../errors.ts'
import { revocationsAt } from '../../store/blocks.ts'
import type { Knex } from '../../store/database.ts'
import { removeRegistration } from '../../store/registrations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { fewOf, findAtRevision, removed } from '../registrations.ts'
import { refuseBuiltIn } from './built-in.ts'

/** @throws Refusal `in_use` while workload entries or blocks refer to it */
export async function deleteAttestor(
  { time }: Pick<Context, 'time'>,
  tx: Knex.Transaction,
  { attestors, workloads }: Snapshot,
  { name, expected }: { name: string; expected: number },
): Promise<Change<undefined>> {
  const row = findAtRevision(attestors, name, expected)
  refuseBuiltIn(row)
  const users = entriesOf(workloads, row.id).map((entry) => entry.row.name)
  if (users.length > 0) throw refuse('in_use', { detail: `workload entries use it: ${fewOf(users)}` })
  // A new attestor of the same name has another id, and a block names an instance by that id: it would block nothing.
  const revocations = await revocationsAt(tx, row.id, time)
  if (revocations.length > 0) {
    throw refuse('in_use', { detail: `blocks of its instances are in force; release them: ${fewOf(revocations)}` })
  }
  await removeRegistration(tx, 'attestor', row.id, time)
  return removed('attestor', row)
}
