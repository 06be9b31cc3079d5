import { findByName } from '../registrations.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type CreateParts, createOperator } from './create.ts'
import { deleteOperator } from './delete.ts'
import { replaceOperator } from './replace.ts'
import { setDisabled } from './set-disabled.ts'
import { type PasswordParts, changePassword, hashPassword } from './set-password.ts'

export const createOperatorActions = (parts: CreateParts & PasswordParts) => ({
  /** @throws Refusal `not_found` */
  get: ({ operators }: Snapshot, name: string): OperatorRow => findByName(operators, name),
  list: ({ operators }: Snapshot, manager?: string): Iterable<OperatorRow> =>
    [...operators.values()].filter((row) => manager === undefined || row.managedBy === manager),
  create: createOperator(parts),
  replace: replaceOperator(parts),
  delete: deleteOperator,
  disable: setDisabled(true),
  enable: setDisabled(false),
  hashPassword: hashPassword(parts),
  changePassword,
})
