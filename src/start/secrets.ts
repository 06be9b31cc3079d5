/** Secrets, their rotation and database credentials. */
import type { Recorder } from '../audit/record.ts'
import { createIssueDatabases } from '../actions/leases/issue.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Keys } from '../keys/keys.ts'
import type { Outbound } from '../outbound/client.ts'
import { createRotationParts } from './rotation.ts'
import { createTurns } from '../secrets/databases/turns.ts'
import { createRevokeRoles } from '../secrets/leases/revoke.ts'
import { createVersions } from '../secrets/versions.ts'
import type { Database } from '../store/database.ts'
import type { Snapshots } from '../store/snapshot.ts'
import type { Logger } from '../telemetry/log.ts'

type Parts = {
  db: Database
  keyring: Keyring
  /** Opens wrapping keys of other replicas. */
  openedKeys: (ids: readonly string[]) => Promise<void>
  keys: Keys
  recorder: Recorder
  snapshots: Snapshots
  outbound: Outbound
  randomBytes: (size: number) => Buffer
  now: () => Date
  log: Logger
}

export type SecretGroup = ReturnType<typeof composeSecrets>

export function composeSecrets(parts: Parts) {
  const { db, keyring, openedKeys, keys, recorder, snapshots, outbound, randomBytes, now, log } = parts
  const leasing = {
    db,
    keyring,
    recorder,
    randomBytes,
    log,
    turns: createTurns({ together: 8, waiting: 256 }),
    revokeRoles: createRevokeRoles({ db, keyring, recorder, snapshots, now }),
  }
  return {
    leasing,
    revokeRoles: leasing.revokeRoles,
    issueDatabases: createIssueDatabases(leasing),
    readSecretsBy: { versions: createVersions(db, openedKeys), keyring },
    ...createRotationParts({ db, keyring, keys, snapshots, outbound, now, randomBytes }),
    // The whole keyring: jobs also add wrapping keys.
    keyring,
  }
}
