/** Operators' API tokens, looked up by hash in the snapshot. */
import type { ApiTokenRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'

const byHash = new WeakMap<Snapshot['apiTokens'], Map<string, ApiTokenRow>>()

/** The token with a hash, live or ended; undefined for unknown tokens. */
export function findAnyApiToken(snapshot: Pick<Snapshot, 'apiTokens'>, hash: Buffer): ApiTokenRow | undefined {
  let index = byHash.get(snapshot.apiTokens)
  if (!index) {
    index = new Map([...snapshot.apiTokens.values()].map((row) => [row.hash, row]))
    byHash.set(snapshot.apiTokens, index)
  }
  return index.get(hash.toString('base64'))
}

/** The live token with a hash; undefined for unknown, expired and revoked tokens. */
export function findApiToken(snapshot: Pick<Snapshot, 'apiTokens'>, hash: Buffer, now: Date): ApiTokenRow | undefined {
  const row = findAnyApiToken(snapshot, hash)
  return row && !row.revokedAt && row.expiresAt > now ? row : undefined
}
