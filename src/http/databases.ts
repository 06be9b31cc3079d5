/** Databases, in which Purser creates roles for workloads: register, check, replace, rotate their credential, remove. */
import type { Actions } from '../actions/actions.ts'
import type { WrittenDatabase } from '../actions/databases/write.ts'
import type { DatabaseRow } from '../store/rows.ts'
import { showDatabase } from './database-view.ts'
import { type IdempotencyParts, idempotent } from './idempotency.ts'
import { createPages } from './lists.ts'
import { nameOf } from './params.ts'
import { checkName, etag, expectedRevision, namedRevision } from './preconditions.ts'
import { rendered } from './rendered.ts'
import { type Reply, bodyOf, json, noContent, queryOf } from './request.ts'
import type { Act, ChangeState, Issue, Read } from './route-kinds.ts'

export function createDatabaseRoutes(parts: IdempotencyParts & { actions: Pick<Actions, 'databases'> }) {
  const { databases } = parts.actions
  const page = createPages(parts)

  const list: Read = async (request, snapshot) => {
    const rows = databases.list(snapshot, queryOf(request, 'listDatabases').managedBy)
    return page(request, snapshot, { list: 'databases', rows, keyOf: (row) => row.name, show: showDatabase })
  }

  const get: Read = async (request, snapshot) => replyWith(databases.get(snapshot, nameOf(request)))

  const create: ChangeState = async (request, tx, snapshot) =>
    rendered(await databases.create(request, tx, snapshot, bodyOf(request, 'createDatabase')), showWritten)

  const again = (id: string, { databases: rows }: { databases: ReadonlyMap<string, DatabaseRow> }) => {
    const row = rows.get(id)
    return row && showDatabase(row)
  }

  const replace: ChangeState = async (request, tx, snapshot) => {
    const expected = expectedRevision(request)
    const database = bodyOf(request, 'replaceDatabase')
    checkName(request, database)
    return rendered(await databases.replace(request, tx, snapshot, { expected, database }), showWritten)
  }

  const remove: ChangeState = async (request, tx, snapshot) =>
    rendered(await databases.delete(request, tx, snapshot, namedRevision(request)), () => noContent)

  const check: Issue = async (request, snapshot) => rendered(await databases.check(snapshot, nameOf(request)), json)

  const rotateAdmin: Act = async (request, acting) =>
    rendered(await databases.rotateAdmin(acting, nameOf(request)), (row) => replyWith(row))

  return { list, get, create: idempotent(parts, create, again), replace, remove, check, rotateAdmin }
}

const replyWith = (row: DatabaseRow, status = 200): Reply =>
  json(showDatabase(row), { status, headers: etag(row.revision) })

const showWritten = ({ database, isNew }: WrittenDatabase): Reply => replyWith(database, isNew ? 201 : 200)
