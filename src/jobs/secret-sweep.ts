/** Destroys versions some time after they expired, with an entry, and deletes consumers whose sessions ended long ago. */
import type { EntryPart } from '../audit/entry.ts'
import { secretRevision } from '../secrets/entry.ts'
import { deleteConsumers } from '../store/consumers.ts'
import { tryLock } from '../store/jobs.ts'
import { destroyVersions, expiredVersions } from '../store/secret-versions.ts'
import { lockSecret } from '../store/secrets.ts'
import { type JobParts, changeOnce } from './once.ts'
import type { Job } from './runner.ts'

/** "pssw" in ASCII. */
const lock = 0x70737377
const day = 24 * 3600_000
/** The ciphertext of an expired version stays for this time, in case a clock was wrong. */
const expiredFor = 7 * day
/** Rotations that begin later do not count them; the log keeps them. */
const heldFor = 30 * day
const maxSecrets = 50
const page = 500
const maxPages = 20

export function secretSweep(parts: JobParts): Job {
  const { db, now } = parts

  /** One entry for each secret. The revision stays: expired versions cannot be read, so no answer changes. */
  const destroyExpired = (): Promise<boolean> =>
    changeOnce(parts, lock, 'secret.destroy', async (tx, time) => {
      const entries: EntryPart[] = []
      for (const versions of await expiredVersions(tx, new Date(time.getTime() - expiredFor), maxSecrets)) {
        // Writers lock the row of a secret before its versions.
        await lockSecret(tx, versions.id)
        await destroyVersions(tx, versions.id, versions.versions, time)
        entries.push({
          resource: secretRevision(versions),
          detail: { versions: versions.versions, expired: true },
        })
      }
      const [entry, ...more] = entries
      return entry && { result: undefined, entry, more }
    })

  const forgetPage = (): Promise<boolean> =>
    db.knex.transaction(async (tx) => {
      if (!(await tryLock(tx, lock))) return false
      return (await deleteConsumers(tx, new Date(now().getTime() - heldFor), page)) === page
    })

  return {
    name: 'secret-sweep',
    everySeconds: 3600,
    async run() {
      for (let pages = 0; pages < maxPages && (await destroyExpired()); pages++);
      for (let pages = 0; pages < maxPages && (await forgetPage()); pages++);
    },
  }
}
