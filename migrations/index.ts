/** All migrations in order. The database stores their names, which never change and have no file extension. */
import type { Knex } from 'knex'
import { foundation } from './001-foundation.ts'
import { secretsMigration } from './002-secrets.ts'
import { revocation } from './003-revocation.ts'
import { logIdentity } from './004-log-identity.ts'
import { redactionMigration } from './005-redaction.ts'
import { sessionsMigration } from './006-sessions.ts'
import { stateMigration } from './007-state.ts'
import { containmentsMigration } from './008-containments.ts'
import { operatorsMigration } from './009-operators.ts'
import { loginMigration } from './010-login.ts'
import { boundsMigration } from './011-bounds.ts'
import { appendsMigration } from './012-appends.ts'
import { operatorLoginMigration } from './013-operator-login.ts'
import { approvalsMigration } from './014-approvals.ts'
import { managedOperatorsMigration } from './015-managed-operators.ts'
import { passkeysMigration } from './016-passkeys.ts'

export type Migration = {
  name: string
  up: (knex: Knex) => Promise<void>
  down?: (knex: Knex) => Promise<void>
  /** Older binaries must not run on this schema. Otherwise the previous version may. */
  breaking?: true
}

export const migrations: readonly Migration[] = [
  foundation,
  secretsMigration,
  revocation,
  logIdentity,
  redactionMigration,
  sessionsMigration,
  stateMigration,
  containmentsMigration,
  operatorsMigration,
  loginMigration,
  boundsMigration,
  appendsMigration,
  operatorLoginMigration,
  approvalsMigration,
  managedOperatorsMigration,
  passkeysMigration,
]
