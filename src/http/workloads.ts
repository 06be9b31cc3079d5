/** Workload entries, as operators write them. */
import { checkRevision } from '../actions/context.ts'
import { entriesOf, workloadOf } from '../authorize/entries.ts'
import type { OwnRules } from '../authorize/entry-rules.ts'
import type { WorkloadDefinition } from '../authorize/grant.ts'
import { attestorRules } from '../attest/attest.ts'
import type { Change, Changed } from '../audit/record.ts'
import { checkWorkload } from '../authorize/check-definition.ts'
import { type Warning, warningsFor } from '../authorize/warnings.ts'
import { refuse } from '../errors.ts'
import { newId } from '../names/id.ts'
import { isUniqueViolation } from '../store/database.ts'
import type { Database, Knex } from '../store/database.ts'
import { byName, insertWorkload, removeRegistration, updateWorkload } from '../store/registrations.ts'
import type { AttestorRow, WorkloadRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { etag, expectedRevision } from './preconditions.ts'
import { readRevision } from '../actions/recorded.ts'
import { type ApiRequest, type Reply, bodyOf, json, queryFor, noContent } from './request.ts'
import type { ChangeState, Read } from './route.ts'
import { showWorkload, workloadState } from './workload-view.ts'

export type WorkloadRouteParts = ListParts & {
  db: Pick<Database, 'knex'>
  randomBytes: (size: number) => Buffer
  /** What is Purser's own, and no entry's. */
  own: OwnRules
}

type Routes = Record<'list' | 'get', Read> & Record<'create' | 'replace' | 'remove' | 'disable' | 'enable', ChangeState>

export function createWorkloadRoutes(parts: WorkloadRouteParts): Routes {
  const { db, randomBytes, own } = parts
  const page = createPages(parts)

  function find({ params }: ApiRequest, { workloads }: Snapshot): WorkloadRow {
    const row = byName(workloads, params.name ?? '')
    if (!row) throw refuse('not_found')
    return row
  }

  /** The attestor that a definition is for, when nothing is wrong with the definition. */
  function judge({ caller }: ApiRequest, definition: WorkloadDefinition, snapshot: Snapshot): AttestorRow {
    const attestor = byName(snapshot.attestors, definition.attestor)
    if (!attestor) throw impossible('/attestor', 'there is no attestor of that name')
    const found = checkWorkload(definition, attestorRules(attestor), own)
    if (found) throw refuse(found.code, { errors: found.errors })
    const role = definition.grants?.operator?.role
    if (role !== undefined && role !== 'operator' && !(caller.kind === 'operator' && caller.role === 'admin')) {
      const detail = 'nobody grants a role beyond their own'
      throw refuse('forbidden', { errors: [{ pointer: '/grants/operator/role', detail }] })
    }
    return attestor
  }

  async function insert(
    request: ApiRequest,
    definition: WorkloadDefinition,
    tx: Knex.Transaction,
    snapshot: Snapshot,
  ): Promise<Change<Reply>> {
    if (byName(snapshot.workloads, definition.name)) throw refuse('already_exists')
    const { id: attestorId } = judge(request, definition, snapshot)
    const { name } = definition
    const row = { id: newId('wl', randomBytes), name, attestorId, definition, disabled: false, revision: 1 }
    try {
      await insertWorkload(tx, row)
    } catch (error) {
      if (isUniqueViolation(error)) throw refuse('already_exists')
      throw error
    }
    return { ...written(row, snapshot, 201), entry: { action: 'workload.create', ...entryOf(row) } }
  }

  async function setDisabled(request: ApiRequest, tx: Knex.Transaction, snapshot: Snapshot, disabled: boolean) {
    const old = find(request, snapshot)
    // Said again, it changes nothing: at 3 a.m. nobody knows whether somebody has.
    if (old.disabled === disabled) {
      return {
        result: written(old, snapshot).result,
        entry: { resource: { kind: 'workload', id: old.id, name: old.name } },
      }
    }
    const row = { ...old, disabled, revision: old.revision + 1 }
    await updateWorkload(tx, row)
    return written(row, snapshot)
  }

  return {
    async list(request, snapshot) {
      const { attestor, managedBy } = queryFor(request, 'listWorkloads')
      const attestorId = attestor === undefined ? undefined : byName(snapshot.attestors, attestor)?.id
      const rows = [...snapshot.workloads.values()].filter(
        (row) =>
          (attestor === undefined || row.attestorId === attestorId) &&
          (managedBy === undefined || row.definition.managedBy === managedBy),
      )
      return page(request, snapshot, { list: 'workloads', rows, keyOf: (row) => row.name, show: showWorkload })
    },

    async get(request, snapshot) {
      const row = find(request, snapshot)
      const revision = queryFor(request, 'getWorkload').revision ?? row.revision
      if (revision === row.revision) return json(showWorkload(row), { headers: etag(revision) })
      const state = await readRevision(db.knex, 'workload', row.id, revision)
      return json({ id: row.id, ...state, revision }, { headers: etag(revision) })
    },

    create: idempotent(
      parts,
      (request, tx, snapshot) => insert(request, bodyOf(request, 'createWorkload'), tx, snapshot),
      (id, { workloads }) => {
        const row = workloads.get(id)
        return row && { ...showWorkload(row), warnings: [] }
      },
    ),

    async replace(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const definition = bodyOf(request, 'replaceWorkload')
      if (definition.name !== request.params.name) throw impossible('/name', 'must be the name in the path')
      const old = byName(snapshot.workloads, definition.name)
      checkRevision(expected, old?.revision ?? 0)
      if (!old) return insert(request, definition, tx, snapshot)
      const attestor = judge(request, definition, snapshot)
      if (attestor.id !== old.attestorId) {
        const detail = 'an entry keeps its attestor: make another, and remove this one'
        throw refuse('conflict', { errors: [{ pointer: '/attestor', detail }] })
      }
      const row = { ...old, definition, revision: old.revision + 1 }
      await updateWorkload(tx, row)
      return written(row, snapshot)
    },

    async remove(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const row = find(request, snapshot)
      checkRevision(expected, row.revision)
      await removeRegistration(tx, 'workload', row.id, request.time)
      const { resource } = entryOf(row)
      return { result: noContent, entry: { resource }, changed: at(row) }
    },

    disable: (request, tx, snapshot) => setDisabled(request, tx, snapshot, true),
    enable: (request, tx, snapshot) => setDisabled(request, tx, snapshot, false),
  }
}

const impossible = (pointer: string, detail: string): Error => refuse('impossible', { errors: [{ pointer, detail }] })

const at = ({ id }: WorkloadRow): Changed[] => [{ table: 'workload', where: { id } }]

const entryOf = (row: WorkloadRow) => ({
  resource: { kind: 'workload', id: row.id, name: row.name, revision: row.revision },
  change: { after: workloadState(row) },
})

/** What a write answers: the entry as it is now, and what is probably not meant. */
function written(row: WorkloadRow, snapshot: Snapshot, status = 200): Change<Reply> {
  const others = entriesOf(snapshot.workloads, row.attestorId).filter(
    (other) => other.row.id !== row.id && !other.row.disabled,
  )
  const warnings: Warning[] = row.disabled ? [] : warningsFor(workloadOf(row), others)
  return {
    result: json({ ...showWorkload(row), warnings }, { status, headers: etag(row.revision) }),
    entry: entryOf(row),
    changed: at(row),
  }
}
