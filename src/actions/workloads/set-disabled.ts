import type { Change } from '../../audit/record.ts'
import type { Knex } from '../../store/database.ts'
import { updateWorkload } from '../../store/registrations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { findByName } from '../registrations.ts'
import { type WrittenWorkload, writtenWorkload } from './written.ts'

/** Disables or enables an entry. Repeating either changes nothing, so that an operator in a hurry may just do it. */
export const setDisabled =
  (disabled: boolean) =>
  async (
    _: Pick<Context, 'caller'>,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    name: string,
  ): Promise<Change<WrittenWorkload>> => {
    const old = findByName(snapshot.workloads, name)
    if (old.disabled === disabled) {
      const { result } = writtenWorkload(old, snapshot)
      return { result, entry: { resource: { kind: 'workload', id: old.id, name } } }
    }
    const row = { ...old, disabled, revision: old.revision + 1 }
    await updateWorkload(tx, row)
    return writtenWorkload(row, snapshot)
  }
