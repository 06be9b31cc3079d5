/** Whether the given root key opens what this database holds. */
import type { Database } from '../../store/database.ts'
import type { Head } from '../../store/log.ts'
import { readWrappingKeys } from '../../store/keys.ts'
import { type Keyring, openKeyring } from '../../keys/keyring.ts'
import type { RootKey } from '../../keys/root-key.ts'
import { rotatedRootKey } from '../../start/rotate-root-key.ts'
import { type Finding, fail, ok } from './finding.ts'

const check = 'root key'

export async function lookAtKeyring(
  db: Database,
  head: Head,
  rootKey: RootKey,
): Promise<{ keyring?: Keyring; findings: Finding[] }> {
  const rows = await readWrappingKeys(db.knex)
  const why = 'no key in this database can be opened with it; the server refuses to start'
  const [other] = rows.filter(({ rootKeyId }) => rootKeyId !== rootKey.id)
  if (other) {
    const rotated = await rotatedRootKey(db.knex)
    if (rotated?.to === other.rootKeyId && rotated.from === rootKey.id) {
      const what = `it is the one from before \`purser root-key rotate\` (${rotated.at}): ${rotated.to} is needed`
      const remedy = 'give every replica the new root key: PURSER_ROOT_KEY_FILE names its file'
      return { findings: [fail(check, what, { why, do: remedy })] }
    }
    const remedy = 'give the root key that this database was made with, or the database that belongs to this key'
    const what = `it is not this database's: ${rootKey.id} is given, ${other.rootKeyId} is needed`
    return { findings: [fail(check, what, { why, do: remedy })] }
  }
  try {
    return { keyring: await openKeyring(rootKey, head.instanceId, rows), findings: [ok(check, 'opens the keyring')] }
  } catch {
    const remedy = 'put the newest backup of the database back, and ask who may write to it'
    return { findings: [fail(check, 'the keyring does not open: its rows were changed', { why, do: remedy })] }
  }
}
