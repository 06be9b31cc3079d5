/** A new wrapping key, and every private key under it. There are few, so it happens at once. */
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
  const newest = Math.max(...wrapping.map((one) => one.createdAt.getTime()))
  const createdAt = now.getTime() > newest ? now : after(new Date(newest), 1)
  const row = await newKeyringRow(rootKey, instanceId, id, createdAt)
  const keyring = await openKeyring(rootKey, instanceId, [...wrapping, row])
  return { row, rewrapped: rows.map((one) => rewrap(keyring, one)).filter((one) => one.wrappingKeyId === id) }
}
