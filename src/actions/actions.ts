/** Every action, grouped by noun. */
import type { LeaseParts } from '../secrets/leases/issue.ts'
import { type ApprovalParts, createApprovalActions } from './approvals/approvals.ts'
import { type AttestorActionParts, createAttestorActions } from './attestors/attestors.ts'
import { createContainmentActions } from './containments/containments.ts'
import type { CreateParts } from './containments/create.ts'
import { type CredentialActionParts, createCredentialActions } from './credentials/credentials.ts'
import { createDatabaseActions } from './databases/databases.ts'
import type { DatabaseParts } from './databases/write.ts'
import { type KeyActionParts, createKeyActions } from './keys/keys.ts'
import { createLeaseActions } from './leases/leases.ts'
import { type LogActionParts, createLogActions } from './log/log.ts'
import { type RevocationActionParts, createRevocationActions } from './revocations/revocations.ts'
import { createLoginActions } from './logins/logins.ts'
import { createLoginTries } from './logins/tries.ts'
import type { IdTokenParts } from './logins/id-token.ts'
import type { VerifyParts } from './logins/verify.ts'
import { createOperatorActions } from './operators/operators.ts'
import { createPasskeyActions } from './passkeys/passkeys.ts'
import type { SiteParts } from './passkeys/state.ts'
import { createRotationActions } from './rotations/rotations.ts'
import type { RotationActionParts } from './rotations/state.ts'
import { type CodeParts } from './second-factors/check.ts'
import { createSecondFactorActions } from './second-factors/second-factors.ts'
import { type SecretParts, createSecretActions } from './secrets/secrets.ts'
import { type SessionActionParts, createSessionActions } from './sessions/sessions.ts'
import { createTokenActions } from './tokens/tokens.ts'
import { type WatchActionParts, createWatchActions } from './watch/watch.ts'
import { type WorkloadActionParts, createWorkloadActions } from './workloads/workloads.ts'

type ActionParts = SessionActionParts &
  Omit<CredentialActionParts, 'issueDatabases' | 'sessions'> &
  WatchActionParts &
  SecretParts &
  RotationActionParts &
  DatabaseParts & { leasing: LeaseParts } & AttestorActionParts &
  WorkloadActionParts &
  RevocationActionParts &
  CreateParts &
  ApprovalParts &
  Pick<VerifyParts, 'passwords'> &
  CodeParts &
  Pick<IdTokenParts, 'oidcLogin' | 'idleSeconds'> &
  SiteParts &
  KeyActionParts &
  LogActionParts

export function createActions(parts: ActionParts) {
  const sessions = createSessionActions(parts)
  const leases = createLeaseActions(parts.leasing)
  const accounts = { ...parts, tries: createLoginTries(parts.db) }
  return {
    sessions,
    credentials: createCredentialActions({ ...parts, issueDatabases: leases.issue, sessions: sessions.find }),
    watch: createWatchActions(parts),
    secrets: createSecretActions(parts),
    rotations: createRotationActions(parts),
    leases,
    databases: createDatabaseActions(parts),
    attestors: createAttestorActions(parts),
    workloads: createWorkloadActions(parts),
    operators: createOperatorActions(accounts),
    logins: createLoginActions(accounts),
    secondFactors: createSecondFactorActions(accounts),
    passkeys: createPasskeyActions(accounts),
    tokens: createTokenActions(parts),
    revocations: createRevocationActions(parts),
    containments: createContainmentActions(parts),
    approvals: createApprovalActions(parts),
    keys: createKeyActions(parts),
    log: createLogActions(parts),
  }
}

export type Actions = ReturnType<typeof createActions>
