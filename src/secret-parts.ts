/** What secrets, their rotation and database credentials are made of: a part of the composition root. */
import type { Recorder } from './audit/record.ts'
import { blockOf } from './authorize/session.ts'
import { createIssueDatabases } from './http/database-credentials.ts'
import type { Keyring } from './keys/keyring.ts'
import type { Keys } from './keys/keys.ts'
import { createClaimSigner } from './keys/signed-claims.ts'
import type { Outbound } from './outbound/client.ts'
import { createTurns } from './secrets/databases/turns.ts'
import { createRevokeRoles } from './secrets/leases/revoke.ts'
import { createConsumers } from './secrets/rotation/consumers.ts'
import { createRotators } from './secrets/rotators/kinds.ts'
import { createVersions } from './secrets/versions.ts'
import type { Database } from './store/database.ts'
import type { Snapshots } from './store/snapshot.ts'
import type { Log } from './telemetry/log.ts'

type Parts = {
  db: Database
  keyring: Keyring
  /** Opens wrapping keys that another replica made. */
  openedKeys: (ids: readonly string[]) => Promise<void>
  keys: Keys
  recorder: Recorder
  snapshots: Snapshots
  outbound: Outbound
  randomBytes: (size: number) => Buffer
  now: () => Date
  log: Log
}

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
    keyring,
    randomBytes,
    leasing,
    revokeRoles: leasing.revokeRoles,
    issueDatabases: createIssueDatabases(leasing),
    readSecretsBy: { versions: createVersions(db, openedKeys), keyring },
    rotators: createRotators({
      db,
      keyring,
      snapshots,
      outbound,
      randomBytes,
      signClaims: createClaimSigner({ type: 'purser-rotation', keys, known: () => snapshots.current(), now }),
    }),
    consumersOf: createConsumers({ db, contained: (at, session, time) => blockOf(at, session, time) !== undefined }),
  }
}
