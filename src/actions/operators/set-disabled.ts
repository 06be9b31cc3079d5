import type { OperatorRow } from '../../store/rows.ts'
import type { ChangeAction } from '../context.ts'
import { findByName } from '../registrations.ts'
import { checkTarget, operatorResource, updated } from './state.ts'

/** Disables or enables an operator and all its tokens. Repeating either changes nothing. */
export const setDisabled =
  (disabled: boolean): ChangeAction<string, OperatorRow> =>
  async ({ caller, time }, tx, snapshot, name) => {
    const old = findByName(snapshot.operators, name)
    checkTarget({ caller }, old)
    if (old.disabled === disabled) return { result: old, entry: { resource: operatorResource(old) } }
    return updated(tx, snapshot, old, { disabled }, time)
  }
