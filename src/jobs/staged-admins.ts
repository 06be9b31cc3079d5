/** Finishes the replacement of administrative credentials that a replica began and did not finish. */
import { type AdminRotationParts, setStaged, switchAdmin } from '../secrets/databases/admin-rotation.ts'
import { targetError } from '../secrets/databases/target-error.ts'
import { databasesWithStagedAdmin } from '../store/databases.ts'
import { takeTurn } from '../store/jobs.ts'
import { type JobParts, openBySystem } from './once.ts'
import type { Job } from './runner.ts'

const name = 'staged-admins'
/** "psta" in ASCII. */
const lock = 0x70737461
const everyMs = 30_000

export function stagedAdmins(parts: JobParts & AdminRotationParts): Job {
  const { db, snapshots, recorder, log, now } = parts

  async function finish(id: string): Promise<void> {
    const row = snapshots.current().databases.get(id)
    if (!row || !(await setStaged(parts, row))) return
    await recorder.change(openBySystem('database.rotate-admin', parts), async (tx, snapshot) => {
      const { entry, changed } = await switchAdmin(tx, row, snapshot.databases.get(id))
      return { result: undefined, entry, ...(changed && { changed }) }
    })
  }

  return {
    name,
    everySeconds: 30,
    async run() {
      const ids = await databasesWithStagedAdmin(db.knex)
      if (ids.length === 0 || !(await takeTurn(db.knex, name, lock, now(), everyMs / 2))) return
      for (const id of ids) {
        await finish(id).catch((error: unknown) => {
          const { fault, detail } = targetError(error)
          log.warn('database.admin_not_set', { code: fault, note: detail })
        })
      }
    },
  }
}
