/** What an entry says of a key: all that is public, and its times. */
import type { KeyRow } from '../store/rows.ts'
import { logVkey } from './keys.ts'

export type Described = {
  resource: { kind: 'key'; id: string; name: string }
  change: { after: Record<string, string> }
}

/** @param origin of a log key, for its vkey */
export function describeKey(row: KeyRow, origin?: string): Described {
  const { id, kind, algorithm, activeAt, retireAt, goneAt, withdrawnAt } = row
  return {
    resource: { kind: 'key', id, name: kind },
    change: {
      after: {
        kind,
        algorithm,
        publicKey: row.publicKey.toString('base64'),
        ...(row.chain !== undefined && { chain: row.chain }),
        ...(origin !== undefined && { vkey: logVkey(row, origin) }),
        activeAt: activeAt.toISOString(),
        retireAt: retireAt.toISOString(),
        goneAt: goneAt.toISOString(),
        ...(withdrawnAt && { withdrawnAt: withdrawnAt.toISOString() }),
      },
    },
  }
}
