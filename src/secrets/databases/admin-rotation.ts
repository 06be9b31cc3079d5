/**
 * Replacing a database's administrative credential. The next one is staged, sealed, before it is set at the server: after
 * a crash at any step one of the two works, and both are tried. Each step may be repeated.
 */
import type { DatabaseRow, SealedValue } from '../../store/rows.ts'
import { type AdminParts, currentPassword, openPassword, sealPassword } from './admin.ts'
import { withConnection } from './connect.ts'
import { definitionOf } from './definition.ts'
import { quoteIdentifier, quoteLiteral } from './identifier.ts'
import { newPassword, scramVerifier } from './scram.ts'
import { TargetError } from './target-error.ts'

export type RandomBytes = (size: number) => Buffer

/** The next credential, sealed for the revision that it will have. */
export const nextAdmin = (
  { keyring }: Pick<AdminParts, 'keyring'>,
  row: DatabaseRow,
  randomBytes: RandomBytes,
): SealedValue => sealPassword(keyring, row.id, row.revision + 1, newPassword(randomBytes))

/** The same credential, sealed for the row's later revision: the row changed while the credential was being set. */
export const stagedAnew = (keyring: AdminParts['keyring'], row: DatabaseRow, staged: SealedValue): SealedValue =>
  sealPassword(keyring, row.id, row.revision + 1, openPassword(keyring, row.id, row.revision, staged))

async function opens(row: DatabaseRow, password: string): Promise<boolean> {
  const definition = definitionOf(row)
  try {
    await withConnection(definition, { username: definition.admin.username, password }, (session) =>
      session.run('select 1'),
    )
    return true
  } catch (error) {
    if (error instanceof TargetError && error.fault === 'wrong_credential') return false
    throw error
  }
}

/**
 * Sets the staged credential at the server, and logs in with it.
 * @throws TargetError; then the earlier credential still works, or a job tries both again
 */
export async function setStaged(
  parts: AdminParts,
  row: DatabaseRow,
  staged: SealedValue,
  randomBytes: RandomBytes,
): Promise<void> {
  const definition = definitionOf(row)
  const { username } = definition.admin
  const password = openPassword(parts.keyring, row.id, row.revision + 1, staged)
  if (await opens(row, password)) return
  const verifier = await scramVerifier(password, randomBytes)
  await withConnection(definition, { username, password: currentPassword(parts, row) }, (session) =>
    session.run(`alter role ${quoteIdentifier(username)} password ${quoteLiteral(verifier)}`),
  )
  if (!(await opens(row, password))) throw new TargetError('wrong_credential', 'the server does not take what was set')
}

/** The row with the staged credential as its only one. */
export const switched = (row: DatabaseRow, staged: SealedValue): DatabaseRow => ({
  ...row,
  revision: row.revision + 1,
  admin: staged,
})
