/**
 * A wrapping key is used with random nonces, so it rotates long before 2^32 uses (NIST SP 800-38D, 8.3). The planner's
 * estimate comes first; an exact count follows where that is high.
 */
import type { Keyring } from '../keys/keyring.ts'
import type { RootKey } from '../keys/root-key.ts'
import { writeRotatedKeyring } from '../keys/rotate-keyring.ts'
import { newId } from '../names/id.ts'
import type { Knex } from '../store/database.ts'
import { readWrappingKeys } from '../store/keys.ts'
import { countKeyUses, estimateVersions } from '../store/rewrap.ts'
import { type JobParts, changeOnce } from './once.ts'
import type { Job } from './runner.ts'

export type KeyringRotationParts = JobParts & {
  rootKey: RootKey
  keyring: Pick<Keyring, 'currentId'>
  /** Uses of one wrapping key. */
  maxUses?: number
}

/** "pkyr" in ASCII. */
const lock = 0x706b7972

export function keyringRotation(parts: KeyringRotationParts): Job {
  const { db, snapshots, rootKey, keyring, maxUses = 2 ** 31, randomBytes, log } = parts

  async function isDue(knex: Knex): Promise<boolean> {
    const rough = await estimateVersions(knex)
    if (rough >= 0 && rough < maxUses / 2) return false
    const newest = (await readWrappingKeys(knex)).sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())[0]
    return newest !== undefined && (await countKeyUses(knex, newest)) >= maxUses
  }

  return {
    name: 'keyring-rotation',
    everySeconds: 3600,
    async run() {
      if (!(await isDue(db.knex))) return
      const id = newId('kek', randomBytes)
      const isRotated = await changeOnce(parts, lock, 'key.rewrap', async (tx, now) => {
        if (!(await isDue(tx))) return undefined
        const { instanceId } = snapshots.current()
        const { entry, changed } = await writeRotatedKeyring(tx, { rootKey, instanceId, id, now })
        return { result: undefined, entry: { ...entry, detail: { usedUp: keyring.currentId } }, changed }
      })
      if (isRotated) log.info('key.created', { keyId: id, note: 'keyring' })
    },
  }
}
