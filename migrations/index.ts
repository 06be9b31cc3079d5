/** Every migration, in order. Names are kept in the database: they never change, and carry no file extension. */
import type { Knex } from 'knex'
import { foundation } from './001-foundation.ts'
import { secretsMigration } from './002-secrets.ts'
import { revocation } from './003-revocation.ts'
import { logIdentity } from './004-log-identity.ts'
import { redactionMigration } from './005-redaction.ts'
import { sessionsMigration } from './006-sessions.ts'

export type Migration = {
  name: string
  up: (knex: Knex) => Promise<void>
  down?: (knex: Knex) => Promise<void>
  /** A binary that doesn't know this migration must not run on its schema. Without it, the one before still may. */
  breaking?: true
}

export const migrations: readonly Migration[] = [
  foundation,
  secretsMigration,
  revocation,
  logIdentity,
  redactionMigration,
  sessionsMigration,
]
