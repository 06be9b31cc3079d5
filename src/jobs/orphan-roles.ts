/**
 * Roles of ours that no open lease knows: a database that was restored, a COMMIT whose answer came after its role was
 * taken back. They are looked for at the target, since nothing here knows of them.
 */
import type { Opening } from '../audit/seal.ts'
import { type AdminParts, asAdmin } from '../secrets/databases/admin.ts'
import { dropRole } from '../secrets/databases/drop-role.ts'
import { rolesWithPrefix } from '../secrets/databases/roles.ts'
import { targetError } from '../secrets/databases/target-error.ts'
import { isRoleName, rolePrefix } from '../secrets/leases/role-name.ts'
import { takeTurn } from '../store/jobs.ts'
import { knownUsernames } from '../store/leases.ts'
import type { DatabaseRow } from '../store/rows.ts'
import type { Snapshots } from '../store/snapshot.ts'
import type { Log as ServerLog } from '../telemetry/log.ts'
import { type OnceParts, openBySystem } from './once.ts'
import type { Job } from './runner.ts'

export type OrphanRolesParts = OnceParts &
  AdminParts & { snapshots: Pick<Snapshots, 'current'>; log: Pick<ServerLog, 'warn'> }

const name = 'orphan-roles'
/** One replica looks in this time, whichever comes first. */
const everyMs = 60_000
/** "porp" in ASCII. */
const lock = 0x706f7270

export function orphanRoles(parts: OrphanRolesParts): Job {
  const { db, snapshots, recorder, log, now } = parts

  /** The roles first, and then the leases: a role that is there has its row. */
  async function find(database: DatabaseRow, instanceId: string): Promise<string[]> {
    const roles = await asAdmin(parts, database, (session) => rolesWithPrefix(session, rolePrefix(instanceId)))
    const ours = roles.filter((role) => isRoleName(instanceId, role))
    const known = await knownUsernames(db.knex, ours)
    return ours.filter((role) => !known.has(role))
  }

  async function say(
    open: Opening,
    outcome: 'intended' | 'completed' | 'failed',
    database: DatabaseRow,
    roles: string[],
  ) {
    const resource = { kind: 'database', id: database.id, name: database.name }
    await recorder.change(open, async () => ({
      reply: undefined,
      entry: { outcome, resource, detail: { roles } },
    }))
  }

  async function clean(database: DatabaseRow, instanceId: string): Promise<void> {
    const orphans = await find(database, instanceId)
    for (let at = 0; at < orphans.length; at += 100) {
      const some = orphans.slice(at, at + 100)
      const open = openBySystem('lease.orphan', parts)
      await say(open, 'intended', database, some)
      const left: string[] = []
      await asAdmin(parts, database, async (session) => {
        for (const role of some) await dropRole(session, role).catch(() => left.push(role))
      })
      const gone = some.filter((role) => !left.includes(role))
      if (gone.length > 0) await say(open, 'completed', database, gone)
      if (left.length > 0) await say(open, 'failed', database, left)
      log.warn('lease.orphans', { count: some.length })
    }
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
