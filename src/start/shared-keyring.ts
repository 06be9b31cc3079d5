/** The keyring, kept up with wrapping keys that other replicas make. */
import { type Keyring, openKeyring, openerOf } from '../keys/keyring.ts'
import type { RootKey } from '../keys/root-key.ts'
import type { Database } from '../store/database.ts'
import { readWrappingKeys } from '../store/keys.ts'
import type { Snapshots } from '../store/snapshot.ts'

export type SharedKeyring = {
  keyring: Keyring
  /** A version may be rewrapped (jobs/rewrap.ts) before its replica hears of the new wrapping key. */
  openedKeys: (ids: readonly string[]) => Promise<void>
}

export async function openSharedKeyring(
  rootKey: RootKey,
  { knex }: Pick<Database, 'knex'>,
  snapshots: Pick<Snapshots, 'current' | 'beforeChange'>,
): Promise<SharedKeyring> {
  const keyring = await openKeyring(rootKey, snapshots.current().instanceId, await readWrappingKeys(knex))
  const openedKeys = openerOf(keyring, () => readWrappingKeys(knex))
  // Before what they wrap is seen here.
  snapshots.beforeChange(({ keys }) => openedKeys([...keys.values()].map((row) => row.wrappingKeyId)))
  return { keyring, openedKeys }
}
