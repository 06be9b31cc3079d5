/** Connections as a database's administrator. Its credential is decrypted for one connection, and not kept. */
import { type SealingKeyring, openValue, sealValue } from '../../keys/data-keys.ts'
import type { Knex } from '../../store/database.ts'
import { stagedAdmin } from '../../store/databases.ts'
import type { DatabaseRow, SealedValue } from '../../store/rows.ts'
import { type SqlSession, withConnection } from './connect.ts'
import { definitionOf } from './definition.ts'
import { TargetError } from './target-error.ts'

export type AdminParts = { db: { knex: Knex }; keyring: SealingKeyring }

const placeOf = (id: string, revision: number) => ({ kind: 'database', id, revision }) as const

/** @param revision of the row that the password is stored in */
export function sealPassword(keyring: SealingKeyring, id: string, revision: number, password: string): SealedValue {
  const bytes = Buffer.from(password, 'utf8')
  try {
    return sealValue(keyring, placeOf(id, revision), bytes)
  } finally {
    bytes.fill(0)
  }
}

export function openPassword(keyring: SealingKeyring, id: string, revision: number, sealed: SealedValue): string {
  const bytes = openValue(keyring, placeOf(id, revision), sealed)
  try {
    return bytes.toString('utf8')
  } finally {
    bytes.fill(0)
  }
}

/** A staged password is sealed for the next revision of its row. */
async function stagedPassword({ db, keyring }: AdminParts, id: string): Promise<string | undefined> {
  const staged = await stagedAdmin(db.knex, id)
  return staged && openPassword(keyring, id, staged.revision + 1, staged.next)
}

export function currentPassword({ keyring }: Pick<AdminParts, 'keyring'>, row: DatabaseRow): string {
  if (!row.admin) throw new TargetError('wrong_credential', 'the database has no administrative credential')
  return openPassword(keyring, row.id, row.revision, row.admin)
}

/**
 * Runs work on a connection of the database's administrator. While the credential is being replaced, the server takes
 * either the current or the staged one.
 * @throws TargetError
 */
export async function asAdmin<T>(
  parts: AdminParts,
  row: DatabaseRow,
  work: (session: SqlSession) => Promise<T>,
): Promise<T> {
  const definition = definitionOf(row)
  const { username } = definition.admin
  let connected = false
  const run = (password: string): Promise<T> =>
    withConnection(definition, { username, password }, (session) => {
      connected = true
      return work(session)
    })
  try {
    return await run(currentPassword(parts, row))
  } catch (error) {
    if (connected || !(error instanceof TargetError) || error.fault !== 'wrong_credential') throw error
    const staged = await stagedPassword(parts, row.id)
    if (staged === undefined) throw error
    return run(staged)
  }
}
