import { boundOf } from '../../authorize/caller.ts'
import { workloadOf } from '../../authorize/entries.ts'
import { updateWorkload } from '../../store/registrations.ts'
import type { ChangeAction } from '../context.ts'
import { findByName } from '../registrations.ts'
import { checkOperatorGrant } from './operator-grant.ts'
import { type WrittenWorkload, checkGrantsWithin, writtenWorkload } from './state.ts'

const at = '/path/name'
const pointers = { role: at, routes: at, bound: at }

/** Disables or enables an entry. Repeating either changes nothing, so that an operator in a hurry may just do it. */
export const setDisabled =
  (disabled: boolean): ChangeAction<string, WrittenWorkload> =>
  async (context, tx, snapshot, name) => {
    const old = findByName(snapshot.workloads, name)
    if (old.disabled === disabled) {
      const { result } = writtenWorkload(old, snapshot)
      return { result, entry: { resource: { kind: 'workload', id: old.id, name } } }
    }
    if (!disabled) {
      checkGrantsWithin(old, boundOf(context.caller), at)
      checkOperatorGrant(context, workloadOf(old), pointers)
    }
    const row = { ...old, disabled, revision: old.revision + 1 }
    await updateWorkload(tx, row)
    return writtenWorkload(row, snapshot)
  }
