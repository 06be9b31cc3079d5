/**
 * Version rows as ciphertexts, the last used in memory. A kept row is used only for the revision of the secret that it was
 * read for, and the append judges whether that revision is still the live one: so a destroyed value never leaves.
 */
import type { Database } from '../store/database.ts'
import type { SecretRow } from '../store/rows.ts'
import { type VersionRow, readVersions } from '../store/secret-versions.ts'

type WantedVersion = { secret: SecretRow; version: number }

export type Versions = {
  /** In the order asked for; nothing where there is no such version. One query for all that are not kept. */
  find(wanted: readonly WantedVersion[]): Promise<(VersionRow | undefined)[]>
}

/** Ciphertexts, in bytes; the keys of the map and the rows around them come on top. */
const maxBytes = 32 * 1024 * 1024
const rowBytes = 512

const keyOf = ({ secret, version }: WantedVersion): string => `${secret.id}/${version}/${secret.revision}`
const sizeOf = (row: VersionRow): number => rowBytes + (row.sealed?.ciphertext.length ?? 0)

/** @param opened makes sure that these wrapping keys are in the keyring */
export function createVersions(
  { knex }: Pick<Database, 'knex'>,
  opened: (wrappingKeyIds: readonly string[]) => Promise<void>,
): Versions {
  // A Map keeps the order of insertion: what is used is inserted anew, and the first one is the one to go.
  const kept = new Map<string, VersionRow>()
  let bytes = 0

  function keep(key: string, row: VersionRow): void {
    const earlier = kept.get(key)
    if (earlier) bytes -= sizeOf(earlier)
    kept.delete(key)
    kept.set(key, row)
    bytes += sizeOf(row)
    for (const [oldest, gone] of kept) {
      if (bytes <= maxBytes) break
      kept.delete(oldest)
      bytes -= sizeOf(gone)
    }
  }

  return {
    async find(wanted) {
      const missing = wanted.filter((version) => !kept.has(keyOf(version)))
      const read = await readVersions(
        knex,
        missing.map(({ secret, version }) => ({ secretId: secret.id, version })),
      )
      await opened(read.flatMap(({ sealed }) => (sealed ? [sealed.wrappingKeyId] : [])))
      const found = new Map<string, VersionRow>()
      for (const row of read) found.set(`${row.secretId}/${row.version}`, row)
      return wanted.map((version) => {
        const key = keyOf(version)
        const row = kept.get(key) ?? found.get(`${version.secret.id}/${version.version}`)
        if (row) keep(key, row)
        return row
      })
    },
  }
}
