/** Lists the secrets that the caller may list, in the order of their paths. */
import { parseSecretPath } from '../../names/secret-path.ts'
import { createPathIndex, findPaths } from '../../secrets/path-index.ts'
import type { Database } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { type VersionRow, readEnds } from '../../store/secret-versions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { secretCaller } from './reader.ts'

/** `ends`: when the live version was deleted or destroyed, where it was. */
export type ListedSecret = { secret: SecretRow; ends?: Pick<VersionRow, 'deletedAt' | 'destroyedAt'> }

export function createListSecrets({ db }: { db: Pick<Database, 'knex'> }) {
  const pathsOf = createPathIndex()
  /** @returns the next `max` after a path */
  return ({ caller }: Context, snapshot: Snapshot, prefix: string) => {
    const { may, roots } = secretCaller({ caller }, snapshot)
    const index = pathsOf(snapshot.secrets)
    return async (after: string | undefined, max: number): Promise<ListedSecret[]> => {
      const mayList = (path: string): boolean => may('list', parseSecretPath(path))
      const paths = await findPaths(index, { roots: roots('list'), prefix, after, max, may: mayList })
      const secrets = paths.flatMap((path) => snapshot.secrets.get(path) ?? [])
      const ends = await readEnds(db.knex, secrets)
      return secrets.map((secret) => {
        const lost = ends.get(secret.id)
        return { secret, ...(lost && { ends: lost }) }
      })
    }
  }
}
