/** Lists the versions of a secret, without values. */
import type { Database } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { type VersionRow, listVersions } from '../../store/secret-versions.ts'
import { secretAt } from './state.ts'

export const createSecretVersions =
  ({ db }: { db: Pick<Database, 'knex'> }) =>
  async (path: string): Promise<{ secret: SecretRow; versions: Omit<VersionRow, 'sealed'>[] }> => {
    const secret = await secretAt(db.knex, path)
    const rows = await listVersions(db.knex, secret.id)
    return { secret, versions: rows.filter((row) => !row.staged) }
  }
