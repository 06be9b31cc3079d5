/**
 * Version rows with their ciphertexts, the last used cached in memory. A cached row serves only the revision of the secret
 * that it was read for, and the append checks that this revision is still live: a destroyed value never leaves.
 */
import type { Database } from '../store/database.ts'
import type { SecretRow } from '../store/rows.ts'
import { type VersionRow, readVersions } from '../store/secret-versions.ts'

type VersionQuery = { secret: SecretRow; version: number }

export type Versions = {
  /** In the order of the queries; undefined where there is no such version. One SQL query for all that are not cached. */
  find(queries: readonly VersionQuery[]): Promise<(VersionRow | undefined)[]>
}

/** Bytes of ciphertexts and rows, without the map's own. */
const maxBytes = 32 * 1024 * 1024
const rowBytes = 512

const keyOf = ({ secret, version }: VersionQuery): string => `${secret.id}/${version}/${secret.revision}`
const sizeOf = (row: VersionRow): number => rowBytes + (row.sealed?.ciphertext.length ?? 0)

/** @param loadKeys loads these wrapping keys into the keyring */
export function createVersions(
  { knex }: Pick<Database, 'knex'>,
  loadKeys: (wrappingKeyIds: readonly string[]) => Promise<void>,
): Versions {
  // A Map keeps the order of insertion: a used row is inserted again, and the first row is evicted.
  const cache = new Map<string, VersionRow>()
  let bytes = 0

  function store(key: string, row: VersionRow): void {
    const earlier = cache.get(key)
    if (earlier) bytes -= sizeOf(earlier)
    cache.delete(key)
    cache.set(key, row)
    bytes += sizeOf(row)
    for (const [oldest, evicted] of cache) {
      if (bytes <= maxBytes) break
      cache.delete(oldest)
      bytes -= sizeOf(evicted)
    }
  }

  return {
    async find(queries) {
      const missing = queries.filter((query) => !cache.has(keyOf(query)))
      const read = await readVersions(
        knex,
        missing.map(({ secret, version }) => ({ secretId: secret.id, version })),
      )
      await loadKeys(read.flatMap(({ sealed }) => (sealed ? [sealed.wrappingKeyId] : [])))
      const rows = new Map<string, VersionRow>()
      for (const row of read) rows.set(`${row.secretId}/${row.version}`, row)
      return queries.map((query) => {
        const key = keyOf(query)
        const row = cache.get(key) ?? rows.get(`${query.secret.id}/${query.version}`)
        if (row) store(key, row)
        return row
      })
    },
  }
}
