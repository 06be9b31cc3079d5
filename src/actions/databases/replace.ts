/** Replaces the definition of a database, and its administrative credential where one is sent. */
import { stagedAnew } from '../../secrets/databases/admin-rotation.ts'
import { currentPassword, sealPassword } from '../../secrets/databases/admin.ts'
import { type DatabaseDefinition, definitionOf } from '../../secrets/databases/definition.ts'
import { updateDatabase } from '../../store/databases.ts'
import { byName } from '../../store/registrations.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { impossible } from '../registrations.ts'
import { createNewDatabase } from './create.ts'
import {
  type DatabaseInput,
  type DatabaseParts,
  type WrittenDatabase,
  databaseChange,
  lockedCredential,
  readDefinition,
  refuseRotatedAdmin,
  refuseUsed,
} from './write.ts'

/** `expected`: the revision that the caller read, 0 for a new database. */
type Input = { expected: number; database: DatabaseInput }

export function createReplaceDatabase(parts: DatabaseParts): ChangeAction<Input, WrittenDatabase> {
  const { keyring, rotators } = parts
  const create = createNewDatabase(parts)

  return async (context, tx, snapshot, { expected, database }) => {
    const old = byName(snapshot.databases, database.name)
    checkRevision(expected, old?.revision ?? 0)
    if (!old) return create(context, tx, snapshot, database)
    const oldDefinition = definitionOf(old)
    const { definition, password: newPassword } = readDefinition(database)
    const staged = await lockedCredential(tx, old, newPassword !== undefined)
    await refuseRotatedAdmin(tx, rotators, definition, snapshot)
    if (newPassword === undefined && isOtherServer(definition, oldDefinition)) {
      const detail = 'give the credential anew: the one that is kept is not sent to another server or as another user'
      throw impossible('/admin/password', detail)
    }
    const revision = old.revision + 1
    const password = newPassword ?? currentPassword(parts, old)
    const row = { ...old, definition, revision, admin: sealPassword(keyring, old.id, revision, password) }
    // The server may take the staged credential already, or in a moment: it is set from the credential that was sent.
    const isSameRole = definition.admin.username === oldDefinition.admin.username
    await updateDatabase(tx, row, isSameRole ? staged && stagedAnew(keyring, row, staged) : undefined)
    const change = { result: { database: row, isNew: false }, ...databaseChange(row) }
    if (!isOtherDatabase(definition, oldDefinition)) return change
    // Roles of open leases would be looked for where they never were, and reported as gone.
    return { ...change, placed: () => refuseUsed(tx, row, '; or make a database of another name') }
  }
}

const isOtherServer = (next: DatabaseDefinition, old: DatabaseDefinition): boolean =>
  next.host !== old.host ||
  next.port !== old.port ||
  next.admin.username !== old.admin.username ||
  JSON.stringify(next.tls ?? {}) !== JSON.stringify(old.tls ?? {})

const isOtherDatabase = (next: DatabaseDefinition, old: DatabaseDefinition): boolean =>
  next.host !== old.host || next.port !== old.port || next.database !== old.database
