import { type WrittenWorkload, workloadState } from '../actions/workloads/state.ts'
import type { Actions } from '../actions/actions.ts'
import type { WorkloadRow } from '../store/rows.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { nameOf } from './params.ts'
import { checkName, etag, expectedRevision, namedRevision } from './preconditions.ts'
import { createdStatus, rendered } from './rendered.ts'
import { type Reply, bodyOf, json, noContent, queryOf } from './request.ts'
import type { ChangeState, Read } from './route-kinds.ts'
import { checkGrantRoutes } from './token-routes.ts'

type Routes = Record<'list' | 'get', Read> & Record<'create' | 'replace' | 'remove' | 'disable' | 'enable', ChangeState>

const show = (row: WorkloadRow) => ({ id: row.id, ...workloadState(row), revision: row.revision })

const written = ({ row, warnings }: WrittenWorkload, status = 200): Reply =>
  json({ ...show(row), warnings }, { status, headers: etag(row.revision) })

export function createWorkloadRoutes(parts: ListParts & { actions: Pick<Actions, 'workloads'> }): Routes {
  const { workloads } = parts.actions
  const page = createPages(parts)

  return {
    async list(request, snapshot) {
      const rows = workloads.list(snapshot, queryOf(request, 'listWorkloads'))
      return page(request, snapshot, { list: 'workloads', rows, keyOf: (row) => row.name, show })
    },

    async get(request, snapshot) {
      const { revision: earlier } = queryOf(request, 'getWorkload')
      const { id, state, revision } = await workloads.get(request, snapshot, nameOf(request), earlier)
      return json({ id, ...state, revision }, { headers: etag(revision) })
    },

    create: idempotent(
      parts,
      async (request, tx, snapshot) => {
        const definition = bodyOf(request, 'createWorkload')
        checkGrantRoutes(definition.grants?.operator?.routes ?? [])
        return rendered(await workloads.create(request, tx, snapshot, definition), (workload) => written(workload, 201))
      },
      (id, snapshot) => {
        const row = snapshot.workloads.get(id)
        return row && { ...show(row), warnings: [] }
      },
    ),

    async replace(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const definition = bodyOf(request, 'replaceWorkload')
      checkName(request, definition)
      checkGrantRoutes(definition.grants?.operator?.routes ?? [])
      const change = await workloads.replace(request, tx, snapshot, { definition, expected })
      return rendered(change, (workload) => written(workload, createdStatus(workload.row)))
    },

    remove: async (request, tx, snapshot) =>
      rendered(await workloads.delete(request, tx, snapshot, namedRevision(request)), () => noContent),
    disable: async (request, tx, snapshot) =>
      rendered(await workloads.disable(request, tx, snapshot, nameOf(request)), written),
    enable: async (request, tx, snapshot) =>
      rendered(await workloads.enable(request, tx, snapshot, nameOf(request)), written),
  }
}
