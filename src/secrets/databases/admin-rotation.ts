/**
 * Replacing a database's administrative credential. The next one is staged, sealed, before it is set at the server: after
 * a crash at any step one of the two works, and both are tried. Each step may be repeated.
 */
import type { EntryPart } from '../../audit/entry.ts'
import type { Changed } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { lockDatabase, stagedAdmin, updateDatabase } from '../../store/databases.ts'
import type { DatabaseRow, SealedValue } from '../../store/rows.ts'
import { type AdminParts, currentPassword, openPassword, sealPassword } from './admin.ts'
import { opens, withConnection } from './connect.ts'
import { definitionOf } from './definition.ts'
import { quoteIdentifier, quoteLiteral } from './identifier.ts'
import { newPassword, scramVerifier } from './scram.ts'
import { TargetError } from './target-error.ts'

export type AdminRotationParts = AdminParts & { randomBytes: (size: number) => Buffer }

/** The next credential, sealed for the revision that it will have. */
export const nextAdmin = ({ keyring, randomBytes }: AdminRotationParts, row: DatabaseRow): SealedValue =>
  sealPassword(keyring, row.id, row.revision + 1, newPassword(randomBytes))

/** The same credential, sealed for the row's later revision: the row changed while the credential was being set. */
export const stagedAnew = (keyring: AdminParts['keyring'], row: DatabaseRow, staged: SealedValue): SealedValue =>
  sealPassword(keyring, row.id, row.revision + 1, openPassword(keyring, row.id, row.revision, staged))

/**
 * Sets the credential that is staged for this revision of the row at the server, and logs in with it.
 * @returns whether one is staged
 * @throws TargetError; then the earlier credential still works, or a job tries both again
 */
export async function setStaged(parts: AdminRotationParts, row: DatabaseRow): Promise<boolean> {
  const staged = await stagedAdmin(parts.db.knex, row.id)
  if (staged?.revision !== row.revision) return false
  const definition = definitionOf(row)
  const { username } = definition.admin
  const password = openPassword(parts.keyring, row.id, row.revision + 1, staged.next)
  if (await opens(definition, { username, password })) return true
  const verifier = await scramVerifier(password, parts.randomBytes)
  await withConnection(definition, { username, password: currentPassword(parts, row) }, (session) =>
    session.run(`alter role ${quoteIdentifier(username)} password ${quoteLiteral(verifier)}`),
  )
  if (!(await opens(definition, { username, password })))
    throw new TargetError('wrong_credential', 'the server does not take what was set')
  return true
}

export const databaseResource = (row: DatabaseRow) => ({ kind: 'database', id: row.id, name: row.name })

const changedMeanwhile = 'the database was changed meanwhile: its new credential is set from what it is now'

type Switched = { row: DatabaseRow; entry: EntryPart; changed?: Changed[] }

/**
 * Makes the staged credential the current one. Changes nothing where another replica has switched already.
 * @param row when the credential was staged
 * @param live the row of the snapshot
 * @throws Refusal `not_found` where it was removed; `conflict` where it was replaced and the credential is still being set
 */
export async function switchAdmin(
  tx: Knex.Transaction,
  row: DatabaseRow,
  live: DatabaseRow | undefined,
): Promise<Switched> {
  if (!live) throw refuse('not_found')
  const locked = await lockDatabase(tx, row.id)
  if (!locked?.staged) return { row: live, entry: { outcome: 'completed', resource: databaseResource(live) } }
  if (locked.revision !== live.revision) throw refuse('stale')
  if (live.revision !== row.revision) throw refuse('conflict', { detail: changedMeanwhile, retryAfterSeconds: 30 })
  const next: DatabaseRow = { ...live, revision: live.revision + 1, admin: locked.staged }
  await updateDatabase(tx, next)
  return {
    row: next,
    entry: {
      outcome: 'completed',
      resource: { ...databaseResource(next), revision: next.revision },
      change: { after: definitionOf(next) },
    },
    changed: [{ table: 'database', where: { id: next.id } }],
  }
}
