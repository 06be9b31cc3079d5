/** The parts of rotations, for their routes and their job. */
import { barrierOf } from '../authorize/standing.ts'
import type { SealingKeyring } from '../keys/data-keys.ts'
import type { Keys } from '../keys/keys.ts'
import { createClaimSigner } from '../keys/signed-claims.ts'
import type { Outbound } from '../outbound/client.ts'
import type { RotationParts } from '../secrets/rotation/begin.ts'
import { createConsumers } from '../secrets/rotation/consumers.ts'
import { createRotators } from '../secrets/rotators/kinds.ts'
import type { Database } from '../store/database.ts'
import type { Snapshots } from '../store/snapshot.ts'

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
