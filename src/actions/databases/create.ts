/** Configures a new database. */
import { refuse } from '../../errors.ts'
import { newId } from '../../names/id.ts'
import { sealPassword } from '../../secrets/databases/admin.ts'
import { insertDatabase } from '../../store/databases.ts'
import { byName } from '../../store/registrations.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import type { ChangeAction } from '../context.ts'
import { impossible, insertUnique } from '../registrations.ts'
import {
  type DatabaseInput,
  type DatabaseParts,
  type WrittenDatabase,
  databaseChange,
  readDefinition,
  refuseRotatedAdmin,
} from './write.ts'

/** @throws Refusal `already_exists`, `impossible` */
export const createNewDatabase =
  ({ keyring, randomBytes, rotators }: DatabaseParts): ChangeAction<DatabaseInput, WrittenDatabase> =>
  async ({ time }, tx, snapshot, input) => {
    if (byName(snapshot.databases, input.name)) throw refuse('already_exists')
    const { definition, password } = readDefinition(input)
    if (password === undefined) throw impossible('/admin/password', 'a new database needs its credential')
    await refuseRotatedAdmin(tx, rotators, definition, snapshot)
    const id = newId('db', randomBytes)
    const { name, kind } = definition
    const admin = sealPassword(keyring, id, 1, password)
    const row: DatabaseRow = { id, name, kind, definition, revision: 1, admin, createdAt: time }
    await insertUnique(insertDatabase(tx, row))
    const { entry, changed } = databaseChange(row)
    return {
      result: { database: row, isNew: true },
      entry: { action: 'database.create', ...entry },
      changed,
    }
  }
