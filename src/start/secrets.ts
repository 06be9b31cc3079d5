/** Secrets, their rotation and database credentials. */
import type { Recorder } from '../audit/record.ts'
import { barrierOf } from '../authorize/standing.ts'
import { createClaimSigner } from '../keys/signed-claims.ts'
import type { Outbound } from '../outbound/client.ts'
import { createTurns } from '../secrets/databases/turns.ts'
import { createRevokeRoles } from '../secrets/leases/revoke.ts'
import { createConsumers } from '../secrets/rotation/consumers.ts'
import { createRotators } from '../secrets/rotators/kinds.ts'
import { createVersions } from '../secrets/versions.ts'
import type { Database } from '../store/database.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import type { Logger } from '../telemetry/log.ts'
import type { KeyGroup } from './keys.ts'

type Parts = {
  db: Database
  keys: KeyGroup
  recorder: Recorder
  snapshots: Snapshots
  outbound: Outbound
  randomBytes: (size: number) => Buffer
  now: () => Date
  log: Logger
}

export function composeSecrets(parts: Parts) {
  const { db, keys, recorder, snapshots, outbound, randomBytes, now, log } = parts
  const { keyring } = keys
  const currentSnapshot = (): Snapshot => snapshots.current()
  const signClaims = createClaimSigner({ type: 'purser-rotation', keys: keys.keys, currentSnapshot, now })
  const revokeRoles = createRevokeRoles({ db, keyring, recorder, snapshots, now })
  const turns = createTurns({ together: 8, waiting: 256 })
  return {
    keyring,
    randomBytes,
    leasing: { db, keyring, recorder, randomBytes, log, turns, revokeRoles },
    revokeRoles,
    readSecretsBy: { versions: createVersions(db, keys.openedKeys), keyring },
    rotators: createRotators({ db, keyring, snapshots, outbound, randomBytes, signClaims }),
    consumersOf: createConsumers({ db, barredBy: barrierOf }),
  }
}
