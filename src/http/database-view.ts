/** The views of databases and leases, without credentials. */
import type { NamedLease } from '../actions/leases/find.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { definitionOf } from '../secrets/databases/definition.ts'
import { irrevocableAfter } from '../secrets/leases/revoke.ts'
import type { DatabaseRow } from '../store/rows.ts'
import { timeMember } from './times.ts'

export const showDatabase = (row: DatabaseRow) => ({
  id: row.id,
  ...definitionOf(row),
  revision: row.revision,
  createdAt: rfc3339(row.createdAt),
})

export const showLease = ({ lease: row, database }: NamedLease) => ({
  id: row.id,
  database,
  username: row.username,
  state: row.state,
  ...(row.sessionId !== '' && { session: row.sessionId, workloadId: row.workloadId, spiffeId: row.spiffeId }),
  createdAt: rfc3339(row.createdAt),
  expiresAt: rfc3339(row.expiresAt),
  maxExpiresAt: rfc3339(row.maxExpiresAt),
  ...(row.reason !== undefined && { reason: row.reason }),
  ...(row.state === 'revoking' && {
    attempts: row.attempts,
    irrevocable: row.attempts >= irrevocableAfter,
    ...(row.lastError !== undefined && { lastError: row.lastError }),
    ...timeMember('nextAttemptAt', row.nextAttemptAt),
  }),
  ...timeMember('endedAt', row.endedAt),
})
