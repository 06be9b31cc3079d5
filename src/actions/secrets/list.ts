/** Lists the secrets that the caller may list, in the order of their paths. */
import { parseSecretPath } from '../../names/secret-path.ts'
import type { Database } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { type VersionRow, readEnds } from '../../store/secret-versions.ts'
import { afterPath, endOfPrefix, listSecrets } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { secretCaller } from './reader.ts'

/** `ends`: when the live version was deleted or destroyed, where it was. */
export type ListedSecret = { secret: SecretRow; ends?: Pick<VersionRow, 'deletedAt' | 'destroyedAt'> }

/** Rows of one query. */
const maxRows = 500

export function createListSecrets({ db: { knex } }: { db: Pick<Database, 'knex'> }) {
  /** @returns the next `max` after a path */
  return ({ caller }: Pick<Context, 'caller'>, snapshot: Snapshot, prefix: string) => {
    const { may, roots } = secretCaller({ caller }, snapshot)
    const ranges = rangesOf(roots('list'), prefix)

    async function* allowed(after: string | undefined): AsyncGenerator<SecretRow> {
      const start = after === undefined ? '' : afterPath(after)
      for (const range of ranges) {
        const before = endOfPrefix(range)
        for (let from = start > range ? start : range; from < before;) {
          const rows = await listSecrets(knex, { from, before }, maxRows)
          for (const row of rows) if (may('list', parseSecretPath(row.path))) yield row
          const last = rows.at(-1)
          if (!last || rows.length < maxRows) break
          from = afterPath(last.path)
        }
      }
    }

    return async (after: string | undefined, max: number): Promise<ListedSecret[]> => {
      const secrets: SecretRow[] = []
      for await (const secret of allowed(after)) {
        secrets.push(secret)
        if (secrets.length === max) break
      }
      const ends = await readEnds(knex, secrets)
      return secrets.map((secret) => {
        const end = ends.get(secret.id)
        return { secret, ...(end && { ends: end }) }
      })
    }
  }
}

const byBytes = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The intersections of roots and prefix, sorted, none within another. */
function rangesOf(roots: readonly string[], prefix: string): string[] {
  const ranges = roots.flatMap((root) => (root.startsWith(prefix) ? [root] : prefix.startsWith(root) ? [prefix] : []))
  return [...new Set(ranges)]
    .sort(byBytes)
    .filter((range, n, all) => !all.some((other, m) => m < n && range.startsWith(other)))
}
