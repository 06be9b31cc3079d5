/** Checks that the root key decrypts the keyring of this database. */
import type { Database } from '../../store/database.ts'
import type { Head } from '../../store/log.ts'
import { readWrappingKeys } from '../../store/keys.ts'
import { type Keyring, openKeyring } from '../../keys/keyring.ts'
import type { RootKey } from '../../keys/root-key.ts'
import { rotatedRootKey } from '../../start/rotate-root-key.ts'
import { type Finding, fail, ok } from './finding.ts'

const check = 'root key'

export async function checkKeyring(
  db: Database,
  head: Head,
  rootKey: RootKey,
): Promise<{ keyring?: Keyring; findings: Finding[] }> {
  const rows = await readWrappingKeys(db.knex)
  const why = 'it decrypts no key in this database, so the server refuses to start'
  const [other] = rows.filter(({ rootKeyId }) => rootKeyId !== rootKey.id)
  if (other) {
    const rotated = await rotatedRootKey(db.knex)
    if (rotated?.to === other.rootKeyId && rotated.from === rootKey.id) {
      const what = `it is the key from before \`purser root-key rotate\` (${rotated.at}): ${rotated.to} is needed`
      const remedy = 'set PURSER_ROOT_KEY_FILE to the new root key on every replica'
      return { findings: [fail(check, what, { why, do: remedy })] }
    }
    const remedy = 'use the root key of this database, or the database of this root key'
    const what = `it belongs to another database: this is ${rootKey.id}, ${other.rootKeyId} is needed`
    return { findings: [fail(check, what, { why, do: remedy })] }
  }
  try {
    return { keyring: await openKeyring(rootKey, head.instanceId, rows), findings: [ok(check, 'decrypts the keyring')] }
  } catch {
    const remedy = 'restore the newest backup of the database, and find out who can write to it'
    return { findings: [fail(check, 'the keyring does not decrypt: its rows were changed', { why, do: remedy })] }
  }
}
