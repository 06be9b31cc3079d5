import type { Actions } from '../actions/actions.ts'
import { attestorState } from '../actions/attestors/state.ts'
import type { AttestorRow } from '../store/rows.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { nameOf } from './params.ts'
import { checkName, etag, expectedRevision, namedRevision } from './preconditions.ts'
import { createdStatus, rendered } from './rendered.ts'
import { type Reply, bodyOf, json, noContent, queryOf } from './request.ts'
import type { ChangeState, Issue, Read } from './route-kinds.ts'

type Routes = Record<'list' | 'get', Read> & Record<'create' | 'replace' | 'remove', ChangeState> & { check: Issue }

const show = (row: AttestorRow) => ({ id: row.id, ...attestorState(row), revision: row.revision })

const reply = (row: AttestorRow, status = 200): Reply => json(show(row), { status, headers: etag(row.revision) })

export function createAttestorRoutes(parts: ListParts & { actions: Pick<Actions, 'attestors'> }): Routes {
  const { attestors } = parts.actions
  const page = createPages(parts)

  return {
    async list(request, snapshot) {
      const rows = attestors.list(snapshot, queryOf(request, 'listAttestors').managedBy)
      return page(request, snapshot, { list: 'attestors', rows, keyOf: (row) => row.name, show })
    },

    get: async (request, snapshot) => reply(attestors.get(snapshot, nameOf(request))),

    create: idempotent(
      parts,
      async (request, tx, snapshot) =>
        rendered(await attestors.create(request, tx, snapshot, bodyOf(request, 'createAttestor')), (row) =>
          reply(row, 201),
        ),
      (id, snapshot) => {
        const row = snapshot.attestors.get(id)
        return row && show(row)
      },
    ),

    async replace(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const spec = bodyOf(request, 'replaceAttestor')
      checkName(request, spec)
      const change = await attestors.replace(request, tx, snapshot, { spec, expected })
      return rendered(change, (row) => reply(row, createdStatus(row)))
    },

    remove: async (request, tx, snapshot) =>
      rendered(await attestors.delete(request, tx, snapshot, namedRevision(request)), () => noContent),

    check: async (request, snapshot) => rendered(await attestors.check(request, snapshot, nameOf(request)), json),
  }
}
