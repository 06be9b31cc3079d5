/** The keys of a server: the keyring, the functions that use it, and what rotates them. */
import type { Config } from '../config.ts'
import { openKeyring, openerOf } from '../keys/keyring.ts'
import { createKeys } from '../keys/keys.ts'
import type { RootKey } from '../keys/root-key.ts'
import type { Rotator } from '../keys/rotate.ts'
import type { Database } from '../store/database.ts'
import { readWrappingKeys } from '../store/keys.ts'
import type { Snapshots } from '../store/snapshot.ts'

export type KeyGroup = Awaited<ReturnType<typeof composeKeys>>

type Parts = {
  config: Pick<Config, 'crlUrl' | 'keys' | 'nameConstraints'>
  rootKey: RootKey
  db: Pick<Database, 'knex'>
  snapshots: Pick<Snapshots, 'current' | 'beforeKeys'>
  randomBytes: (size: number) => Buffer
}

export async function composeKeys({ config, rootKey, db, snapshots, randomBytes }: Parts) {
  const { instanceId, trustDomain } = snapshots.current()
  const keyring = await openKeyring(rootKey, instanceId, await readWrappingKeys(db.knex))
  /** Opens wrapping keys of other replicas: a value may be rewrapped (jobs/rewrap.ts) before its key is known here. */
  const openedKeys = openerOf(keyring, () => readWrappingKeys(db.knex))
  // Before this replica sees what they wrap.
  snapshots.beforeKeys((rows) => openedKeys(rows.map((row) => row.wrappingKeyId)))
  const keys = createKeys(keyring)
  const rotator: Rotator = {
    maker: { keyring, trustDomain, nameConstraints: config.nameConstraints, randomBytes },
    keys,
    lifetimes: config.keys,
    crlUrl: (keyId) => `${config.crlUrl}/crl/${keyId}`,
  }
  return { rootKey, keyring, openedKeys, keys, rotator }
}
