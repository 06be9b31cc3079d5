/** Databases and leases as replies and the log show them: never a credential. */
import { rfc3339 } from '../issue/lifetime.ts'
import { type DatabaseDefinition, definitionOf } from '../secrets/databases/definition.ts'
import { irrevocableAfter } from '../secrets/leases/revoke.ts'
import type { LeaseRow } from '../store/leases.ts'
import type { DatabaseRow } from '../store/rows.ts'

/** For `change.after`. */
export const databaseState = (row: DatabaseRow): DatabaseDefinition => definitionOf(row)

export const showDatabase = (row: DatabaseRow) => ({
  id: row.id,
  ...databaseState(row),
  revision: row.revision,
  createdAt: rfc3339(row.createdAt),
})

export const showLease = (row: LeaseRow, databases: ReadonlyMap<string, Pick<DatabaseRow, 'name'>>) => ({
  id: row.id,
  database: databases.get(row.databaseId)?.name ?? row.databaseId,
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
    ...(row.nextAttemptAt && { nextAttemptAt: rfc3339(row.nextAttemptAt) }),
  }),
  ...(row.endedAt && { endedAt: rfc3339(row.endedAt) }),
})
