/** Every action, grouped by noun. */
import { createDatabaseActions } from './databases/databases.ts'
import type { DatabaseParts } from './databases/write.ts'
import { createLeaseActions } from './leases/leases.ts'
import type { LeaseParts } from '../secrets/leases/issue.ts'
import type { RotationActionParts } from './rotations/state.ts'
import { createRotationActions } from './rotations/rotations.ts'
import { type SecretParts, createSecretActions } from './secrets/secrets.ts'
import { type SessionActionParts, createSessionActions } from './sessions/sessions.ts'

export type ActionParts = SessionActionParts &
  SecretParts &
  RotationActionParts &
  DatabaseParts & { leasing: LeaseParts }

export const createActions = (parts: ActionParts) => ({
  sessions: createSessionActions(parts),
  secrets: createSecretActions(parts),
  rotations: createRotationActions(parts),
  leases: createLeaseActions(parts.leasing),
  databases: createDatabaseActions(parts),
})

export type Actions = ReturnType<typeof createActions>
