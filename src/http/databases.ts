/** Databases in which roles are made for workloads, as operators configure them. */
import { checkRevision } from '../actions/context.ts'
import type { Change, Changed } from '../audit/record.ts'
import { entryOf } from '../authorize/entries.ts'
import { refuse } from '../errors.ts'
import { newId } from '../names/id.ts'
import { currentPassword, sealPassword } from '../secrets/databases/admin.ts'
import type { AdminParts } from '../secrets/databases/admin.ts'
import { stagedAnew } from '../secrets/databases/admin-rotation.ts'
import { checkDatabase } from '../secrets/databases/check.ts'
import { type DatabaseDefinition, definitionOf, faultsOf } from '../secrets/databases/definition.ts'
import { rolePrefix } from '../secrets/leases/role-name.ts'
import { claimants } from '../secrets/rotation/claims.ts'
import { roleAt } from '../secrets/rotators/postgres.ts'
import type { Rotators } from '../secrets/rotators/rotator.ts'
import { type Knex, isUniqueViolation } from '../store/database.ts'
import { insertDatabase, lockDatabase, removeDatabase, updateDatabase } from '../store/databases.ts'
import { hasOpenLeases } from '../store/leases.ts'
import { isRotatedIn } from '../store/rotation-policies.ts'
import { rotatesIn } from '../store/rotations.ts'
import { byName } from '../store/registrations.ts'
import type { DatabaseRow, SealedValue } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { databaseState, showDatabase } from './database-view.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { etag, expectedRevision } from './preconditions.ts'
import { type ApiRequest, type BodyOf, type Reply, bodyOf, json, queryFor } from './request.ts'
import type { ChangeState, Issue, Read } from './route.ts'

export type DatabaseRouteParts = ListParts & AdminParts & { randomBytes: (size: number) => Buffer; rotators: Rotators }

type Written = BodyOf<'createDatabase'>

type Routes = Record<'list' | 'get', Read> & Record<'create' | 'replace' | 'remove', ChangeState> & { check: Issue }

export function createDatabaseRoutes(parts: DatabaseRouteParts): Routes {
  const { keyring, randomBytes, rotators } = parts
  const page = createPages(parts)

  async function insert(body: Written, tx: Knex.Transaction, snapshot: Snapshot, now: Date): Promise<Change<Reply>> {
    if (byName(snapshot.databases, body.name)) throw refuse('already_exists')
    const { definition, password } = understand(body)
    if (password === undefined) throw impossible('/admin/password', 'a new database needs its credential')
    await refuseRotated(tx, definition, snapshot)
    const id = newId('db', randomBytes)
    const row: DatabaseRow = {
      id,
      name: definition.name,
      kind: definition.kind,
      definition,
      revision: 1,
      admin: sealPassword(keyring, id, 1, password),
      createdAt: now,
    }
    try {
      await insertDatabase(tx, row)
    } catch (error) {
      throw isUniqueViolation(error) ? refuse('already_exists') : error
    }
    return { ...written(row, 201), entry: { action: 'database.create', ...about(row) } }
  }

  /** It would be locked out at the policy's next rotation. */
  async function refuseRotated(
    tx: Knex.Transaction,
    definition: DatabaseDefinition,
    snapshot: Snapshot,
  ): Promise<void> {
    const rotated = await claimants(tx, { rotators, snapshot, kind: definition.kind })
    const path = rotated.get(roleAt(definition, definition.admin.username))
    if (path !== undefined) throw impossible('/admin/username', `is changed by the rotation policy of ${path}`)
  }

  return {
    async list(request, snapshot) {
      const { managedBy } = queryFor(request, 'listDatabases')
      const rows = [...snapshot.databases.values()].filter(
        (row) => managedBy === undefined || row.definition.managedBy === managedBy,
      )
      return page(request, snapshot, { list: 'databases', rows, keyOf: (row) => row.name, show: showDatabase })
    },

    async get(request, snapshot) {
      const row = findDatabase(request, snapshot)
      return json(showDatabase(row), { headers: etag(row.revision) })
    },

    create: idempotent(
      parts,
      (request, tx, snapshot) => insert(bodyOf(request, 'createDatabase'), tx, snapshot, request.time),
      (id, snapshot) => {
        const row = snapshot.databases.get(id)
        return row && showDatabase(row)
      },
    ),

    async replace(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const body = bodyOf(request, 'replaceDatabase')
      if (body.name !== request.params.name) throw impossible('/name', 'must be the name in the path')
      const old = byName(snapshot.databases, body.name)
      checkRevision(expected, old?.revision ?? 0)
      if (!old) return insert(body, tx, snapshot, request.time)
      const { definition, password: given } = understand(body)
      const staged = await live(tx, old, given !== undefined)
      await refuseRotated(tx, definition, snapshot)
      if (given === undefined && elsewhere(definition, definitionOf(old))) {
        const detail = 'give the credential anew: the one that is kept is not sent to another server or as another user'
        throw impossible('/admin/password', detail)
      }
      const revision = old.revision + 1
      const password = given ?? currentPassword(parts, old)
      const row = { ...old, definition, revision, admin: sealPassword(keyring, old.id, revision, password) }
      // The server may take the staged one already, or in a moment: it is gone on with, from the one that was given.
      const sameRole = definition.admin.username === definitionOf(old).admin.username
      await updateDatabase(tx, row, sameRole ? staged && stagedAnew(keyring, row, staged) : undefined)
      if (!moves(definition, definitionOf(old))) return written(row)
      // Their roles would be looked for where they never were, and said to be gone.
      return { ...written(row), placed: () => refuseUsed(tx, row, '; or make a database of another name') }
    },

    async remove(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const row = findDatabase(request, snapshot)
      checkRevision(expected, row.revision)
      await live(tx, row, true)
      refuseGranted(row, snapshot)
      if (await isRotatedIn(tx, row.name)) throw refuse('in_use', { detail: 'secrets are rotated in it' })
      await removeDatabase(tx, row.id, request.time)
      return {
        result: { status: 204, body: { text: '', type: 'text/plain' } },
        entry: { resource: about(row).resource },
        changed: at(row),
        // Its roles are taken away with its credential. Under the head lock, where no lease can begin beside it.
        placed: () => refuseUsed(tx, row),
      }
    },

    /** Calls out and changes nothing. */
    async check(request, snapshot) {
      const row = findDatabase(request, snapshot)
      const checks = await checkDatabase(parts, row, rolePrefix(snapshot.instanceId))
      const ok = checks.every((check) => check.ok)
      return {
        result: json({ ok, checks }),
        entry: { resource: { kind: 'database', id: row.id, name: row.name }, detail: { ok, checks } },
        holds: () => true,
        whileClosed: true,
      }
    },
  }
}

export function findDatabase(
  { params }: Pick<ApiRequest, 'params'>,
  snapshot: Pick<Snapshot, 'databases'>,
): DatabaseRow {
  const row = byName(snapshot.databases, params.name ?? '')
  if (!row) throw refuse('not_found')
  return row
}

/** The definition without the credential, and that. @throws Refusal `impossible` with every fault */
function understand({ admin, ...rest }: Written): { definition: DatabaseDefinition; password: string | undefined } {
  const definition: DatabaseDefinition = {
    ...rest,
    port: rest.port ?? 5432,
    admin: { username: admin.username },
    defaultLifetimeSeconds: rest.defaultLifetimeSeconds ?? Math.min(3600, rest.maxLifetimeSeconds ?? 3600),
    maxLifetimeSeconds: rest.maxLifetimeSeconds ?? Math.max(86_400, rest.defaultLifetimeSeconds ?? 0),
  }
  const errors = faultsOf(definition)
  if (errors.length > 0) throw refuse('impossible', { errors })
  return { definition, password: admin.password }
}

/** Under its row's lock, as the snapshot has it. Answers the credential that is being set, which must not be lost. */
async function live(tx: Knex.Transaction, row: DatabaseRow, replacesAdmin: boolean): Promise<SealedValue | undefined> {
  const locked = await lockDatabase(tx, row.id)
  if (locked?.revision !== row.revision) throw refuse('stale')
  if (locked.staged && !replacesAdmin) {
    const detail = 'its administrative credential is being replaced: wait for it, or give one'
    throw refuse('conflict', { errors: [{ pointer: '/admin/password', detail }] })
  }
  return locked.staged
}

const elsewhere = (next: DatabaseDefinition, old: DatabaseDefinition): boolean =>
  next.host !== old.host ||
  next.port !== old.port ||
  next.admin.username !== old.admin.username ||
  JSON.stringify(next.tls ?? {}) !== JSON.stringify(old.tls ?? {})

const moves = (next: DatabaseDefinition, old: DatabaseDefinition): boolean =>
  next.host !== old.host || next.port !== old.port || next.database !== old.database

/** Under the head lock, where no lease and no rotation can begin beside it. @throws Refusal `in_use` */
async function refuseUsed(tx: Knex.Transaction, { id, name }: DatabaseRow, otherwise = ''): Promise<void> {
  const leased = 'leases on it are open: they end once no workload entry grants it, or are revoked'
  if (await hasOpenLeases(tx, id)) throw refuse('in_use', { detail: leased + otherwise })
  const rotated = 'a rotation in it has not ended: retire, cancel or roll it back (:rotation)'
  if (await rotatesIn(tx, name)) throw refuse('in_use', { detail: rotated + otherwise })
}

function refuseGranted(row: DatabaseRow, { workloads }: Snapshot): void {
  const users = [...workloads.values()]
    .filter((workload) => entryOf(workload).databases.includes(row.name))
    .map((workload) => workload.name)
  if (users.length === 0) return
  throw refuse('in_use', { detail: `workload entries grant it: ${users.toSorted().slice(0, 5).join(', ')}` })
}

const impossible = (pointer: string, detail: string): Error => refuse('impossible', { errors: [{ pointer, detail }] })

const at = ({ id }: DatabaseRow): Changed[] => [{ table: 'database', where: { id } }]

const about = (row: DatabaseRow) => ({
  resource: { kind: 'database', id: row.id, name: row.name, revision: row.revision },
  change: { after: databaseState(row) },
})

const written = (row: DatabaseRow, status = 200): Change<Reply> => ({
  result: json(showDatabase(row), { status, headers: etag(row.revision) }),
  entry: about(row),
  changed: at(row),
})
