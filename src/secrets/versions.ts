/**
 * Secrets and their versions with ciphertexts, the last used ones in memory. What is in memory may be outdated: a version
 * serves only the revision of the secret that it was read for, and the append checks that the secret still has that revision.
 */
import type { Database } from '../store/database.ts'
import type { SecretRow } from '../store/rows.ts'
import { type VersionRow, readVersions } from '../store/secret-versions.ts'
import { findSecrets } from '../store/secrets.ts'
import { createRecentlyUsed } from './recently-used.ts'

/** The live version, unless one is named. */
type VersionQuery = { path: string; version?: number }

/** `row` is absent where the secret has no such version. */
type StoredVersion = { secret: SecretRow; row?: VersionRow }

export type Versions = {
  /**
   * In the order of the queries; undefined where there is no secret.
   * @param isFresh reads the secrets from the database
   */
  find(queries: readonly VersionQuery[], options: { isFresh: boolean }): Promise<(StoredVersion | undefined)[]>
}

/** Of ciphertexts and rows, without the maps' own. */
const maxBytes = 32 * 1024 * 1024
const rowBytes = 512

const sizeOf = (row: VersionRow): number => rowBytes + (row.sealed?.ciphertext.length ?? 0)
const keyOf = (secret: SecretRow, version: number): string => `${secret.id}/${version}/${secret.revision}`

/** @param loadKeys loads these wrapping keys into the keyring */
export function createVersions(
  { knex }: Pick<Database, 'knex'>,
  loadKeys: (wrappingKeyIds: readonly string[]) => Promise<void>,
): Versions {
  const secrets = createRecentlyUsed<SecretRow>(maxBytes / 4, () => rowBytes)
  const rows = createRecentlyUsed<VersionRow>(maxBytes, sizeOf)

  async function secretsAt(paths: readonly string[], isFresh: boolean): Promise<Map<string, SecretRow>> {
    const cached = new Map(isFresh ? [] : paths.flatMap((path) => entryOf(path, secrets.get(path))))
    const read = await findSecrets(
      knex,
      paths.filter((path) => !cached.has(path)),
    )
    for (const [path, secret] of read) secrets.set(path, secret)
    return new Map([...cached, ...read])
  }

  return {
    async find(queries, { isFresh }) {
      const stored = await secretsAt([...new Set(queries.map(({ path }) => path))], isFresh)
      const resolved = queries.map(({ path, version }) => {
        const secret = stored.get(path)
        return secret && { secret, version: version ?? secret.version }
      })
      const missing = resolved.flatMap((query) =>
        query && !rows.get(keyOf(query.secret, query.version)) ? [query] : [],
      )
      const read = await readVersions(
        knex,
        missing.map(({ secret, version }) => ({ secretId: secret.id, version })),
      )
      await loadKeys(read.flatMap(({ sealed }) => (sealed ? [sealed.wrappingKeyId] : [])))
      const byVersion = new Map(read.map((row) => [`${row.secretId}/${row.version}`, row]))
      return resolved.map((query) => {
        if (!query) return undefined
        const { secret, version } = query
        const key = keyOf(secret, version)
        const row = byVersion.get(`${secret.id}/${version}`) ?? rows.get(key)
        if (row) rows.set(key, row)
        return { secret, ...(row && { row }) }
      })
    },
  }
}

const entryOf = <T>(key: string, value: T | undefined): [string, T][] => (value === undefined ? [] : [[key, value]])
