/** A new wrapping key, and every private key under it. There are few, so it happens at once; data keys follow by a job. */
import type { Knex } from '../store/database.ts'
import { insertWrappingKey, lockKeys, readKeys, readWrappingKeys, updateWrapped } from '../store/keys.ts'
import { countWrapped } from '../store/rewrap.ts'
import type { KeyRow } from '../store/rows.ts'
import { after } from './lifetimes.ts'
import { type KeyringRow, newKeyringRow, openKeyring } from './keyring.ts'
import { rewrap } from './new-key.ts'
import type { RootKey } from './root-key.ts'

/**
 * @param wrapping every wrapping key there is
 * @param id of the new one
 * @returns its row, and the rows of those that were wrapped again
 */
export async function rotateKeyring(
  rootKey: RootKey,
  instanceId: string,
  wrapping: readonly KeyringRow[],
  rows: readonly KeyRow[],
  id: string,
  now: Date,
): Promise<{ row: KeyringRow; rewrapped: KeyRow[] }> {
  // The newest is the one that wraps: also where the clock was set back since the last.
  const newest = Math.max(...wrapping.map((key) => key.createdAt.getTime()))
  const createdAt = now.getTime() > newest ? now : after(new Date(newest), 1)
  const row = await newKeyringRow(rootKey, instanceId, id, createdAt)
  const keyring = await openKeyring(rootKey, instanceId, [...wrapping, row])
  return { row, rewrapped: rows.map((row) => rewrap(keyring, row)).filter((key) => key.wrappingKeyId === id) }
}

/** Writes a new wrapping key in the caller's transaction, under the lock of every change of keys. */
export async function writeRotatedKeyring(
  tx: Knex.Transaction,
  parts: { rootKey: RootKey; instanceId: string; id: string; now: Date },
) {
  const { rootKey, instanceId, id, now } = parts
  await lockKeys(tx)
  const rows = await readKeys(tx)
  const earlier = await readWrappingKeys(tx)
  const { row, rewrapped } = await rotateKeyring(rootKey, instanceId, earlier, rows, id, now)
  await insertWrappingKey(tx, row)
  for (const key of rewrapped) await updateWrapped(tx, key)
  const values = await countWrapped(
    tx,
    earlier.map((key) => key.id),
  )
  return {
    row,
    /** The wrapping keys that there were before. */
    earlier,
    rewrapped,
    entry: {
      action: 'key.rewrap' as const,
      resource: { kind: 'key', id, name: 'keyring' },
      change: { after: { rootKeyId: row.rootKeyId, rewrapped: rewrapped.map((key) => key.id), valuesLeft: values } },
    },
    changed: rewrapped.map((key) => ({ table: 'signing_key' as const, where: { id: key.id } })),
  }
}
