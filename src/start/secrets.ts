/** Secrets, their rotation and database credentials. */
import type { Recorder } from '../audit/record.ts'
import { barrierOf } from '../authorize/standing.ts'
import type { SealingKeyring } from '../keys/data-keys.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Keys } from '../keys/keys.ts'
import { createClaimSigner } from '../keys/signed-claims.ts'
import type { Outbound } from '../outbound/client.ts'
import { createTurns } from '../secrets/databases/turns.ts'
import { createRevokeRoles } from '../secrets/leases/revoke.ts'
import type { RotationParts } from '../secrets/rotation/begin.ts'
import { createConsumers } from '../secrets/rotation/consumers.ts'
import { createRotators } from '../secrets/rotators/kinds.ts'
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
    readSecretsBy: { versions: createVersions(db, openedKeys), keyring },
    ...createRotationParts({ db, keyring, keys, snapshots, outbound, now, randomBytes }),
    // The whole keyring: jobs also add wrapping keys.
    keyring,
  }
}

export function createRotationParts(parts: {
  db: Pick<Database, 'knex'>
  keyring: SealingKeyring
  keys: Keys
  snapshots: Pick<Snapshots, 'current'>
  outbound: Outbound
  now: () => Date
  randomBytes: (size: number) => Buffer
}): RotationParts {
  const { db, keyring, keys, snapshots, outbound, now, randomBytes } = parts
  const signClaims = createClaimSigner({
    type: 'purser-rotation',
    keys,
    currentSnapshot: () => snapshots.current(),
    now,
  })
  return {
    keyring,
    randomBytes,
    rotators: createRotators({ db, keyring, snapshots, outbound, randomBytes, signClaims }),
    consumersOf: createConsumers({
      db,
      barredBy: barrierOf,
    }),
  }
}
