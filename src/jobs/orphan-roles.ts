/**
 * Finds roles of Purser without an open lease, as a restored database or a lost answer of COMMIT leaves them. Only the target
 * knows of them. They become leases that are being revoked, and are dropped as the roles of leases are.
 */
import { type AdminParts, asAdmin } from '../secrets/databases/admin.ts'
import { rolesWithPrefix } from '../secrets/databases/roles.ts'
import { targetError } from '../secrets/databases/target-error.ts'
import { leaseEntry } from '../secrets/leases/entry.ts'
import { leaseOf, rolePrefix } from '../secrets/leases/role-name.ts'
import { takeTurn } from '../store/jobs.ts'
import { adoptRoles } from '../store/lease-ends.ts'
import { leasedUsernames } from '../store/leases.ts'
import type { DatabaseRow } from '../store/rows.ts'
import { type JobParts, openBySystem } from './once.ts'
import type { Job } from './runner.ts'

type Orphan = { id: string; username: string }

const batch = 100
const name = 'orphan-roles'
/** One replica searches in this time. */
const everyMs = 60_000
/** "porp" in ASCII. */
const lock = 0x706f7270

export function orphanRoles(parts: JobParts & AdminParts): Job {
  const { db, snapshots, recorder, log, now } = parts

  /** Reads the roles before the leases: the row of a lease precedes its role. */
  async function find(database: DatabaseRow, instanceId: string): Promise<Orphan[]> {
    const roles = await asAdmin(parts, database, (session) => rolesWithPrefix(session, rolePrefix(instanceId)))
    const ours = roles.flatMap((username) => {
      const id = leaseOf(instanceId, username)
      return id === undefined ? [] : [{ id, username }]
    })
    const usernames = ours.map((object) => object.username)
    const leased = await leasedUsernames(db.knex, usernames)
    return ours.filter(({ username }) => !leased.has(username))
  }

  async function adopt(database: DatabaseRow, orphans: Orphan[]): Promise<void> {
    const time = now()
    const { id, name: databaseName } = database
    await recorder.change(openBySystem('lease.orphan', parts), async (tx) => ({
      result: undefined,
      entry: {
        resource: { kind: 'database', id, name: databaseName },
        detail: { roles: orphans.map((orphan) => orphan.username) },
      },
      more: orphans.map((orphan) => ({
        action: 'lease.revoke',
        ...leaseEntry(orphan, 'intended', { database: databaseName, reason: 'orphan' }),
      })),
      placed: () => adoptRoles(tx, id, orphans, time),
    }))
    log.warn('lease.orphans', { count: orphans.length })
  }

  async function clean(database: DatabaseRow, instanceId: string): Promise<void> {
    const orphans = await find(database, instanceId)
    for (let at = 0; at < orphans.length; at += batch) await adopt(database, orphans.slice(at, at + batch))
  }

  return {
    name,
    everySeconds: 60,
    async run() {
      if (!(await takeTurn(db.knex, name, lock, now(), everyMs / 2))) return
      const { databases, instanceId } = snapshots.current()
      for (const database of databases.values()) {
        try {
          await clean(database, instanceId)
        } catch (error) {
          const { fault, detail } = targetError(error)
          log.warn('lease.orphans_unknown', { code: fault, note: detail })
        }
      }
    },
  }
}
