/** Operators: the people and automations that API tokens belong to. */
import type { Actions } from '../actions/actions.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { OperatorRow } from '../store/rows.ts'
import { shownBound } from '../actions/operators/state.ts'
import { addressPrefix } from './address-prefix.ts'
import { boundIn } from './bounds.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { nameOf } from './params.ts'
import { checkName, etag, expectedRevision, namedRevision } from './preconditions.ts'
import { createdStatus, rendered } from './rendered.ts'
import { type BodyOf, type Reply, bodyOf, json, noContent, queryOf } from './request.ts'
import type { ChangeState, PrepareChange, Read } from './route-kinds.ts'
import { timeMember } from './times.ts'

type Routes = Record<'list' | 'get', Read> &
  Record<'create' | 'replace' | 'remove' | 'disable' | 'enable', ChangeState> &
  Record<'setPassword', PrepareChange>

const show = ({
  id,
  name,
  role,
  bound,
  disabled,
  revision,
  createdAt,
  updatedAt,
  passwordAt,
  secondFactorAt,
  passkeys,
  managedBy,
}: OperatorRow) => ({
  id,
  name,
  role,
  bound: shownBound(bound),
  disabled,
  revision,
  createdAt: rfc3339(createdAt),
  updatedAt: rfc3339(updatedAt),
  ...timeMember('passwordAt', passwordAt),
  ...timeMember('secondFactorAt', secondFactorAt),
  ...(passkeys !== undefined && { passkeys }),
  ...(managedBy !== undefined && { managedBy }),
})

const definitionIn = ({ bound, ...definition }: BodyOf<'createOperator'>) => ({
  ...definition,
  ...boundIn({ ...(bound && { bound }) }),
})

const reply = (row: OperatorRow, status = 200): Reply => json(show(row), { status, headers: etag(row.revision) })

export function createOperatorRoutes(parts: ListParts & { actions: Pick<Actions, 'operators'> }): Routes {
  const { operators } = parts.actions
  const page = createPages(parts)

  return {
    async list(request, snapshot) {
      const rows = operators.list(snapshot, queryOf(request, 'listOperators').managedBy)
      return page(request, snapshot, { list: 'operators', rows, keyOf: (row) => row.name, show })
    },

    get: async (request, snapshot) => reply(operators.get(snapshot, nameOf(request))),

    create: idempotent(
      parts,
      async (request, tx, snapshot) =>
        rendered(
          await operators.create(request, tx, snapshot, definitionIn(bodyOf(request, 'createOperator'))),
          (row) => reply(row, 201),
        ),
      (id, snapshot) => {
        const row = [...snapshot.operators.values()].find((operator) => operator.id === id)
        return row && show(row)
      },
    ),

    async replace(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const body = bodyOf(request, 'replaceOperator')
      checkName(request, body)
      const definition = definitionIn(body)
      const change = await operators.replace(request, tx, snapshot, { definition, expected })
      return rendered(change, (row) => reply(row, createdStatus(row)))
    },

    remove: async (request, tx, snapshot) =>
      rendered(await operators.delete(request, tx, snapshot, namedRevision(request)), () => noContent),
    disable: async (request, tx, snapshot) =>
      rendered(await operators.disable(request, tx, snapshot, nameOf(request)), (row) => reply(row)),
    enable: async (request, tx, snapshot) =>
      rendered(await operators.enable(request, tx, snapshot, nameOf(request)), (row) => reply(row)),

    async setPassword(request, snapshot) {
      const input = { operator: nameOf(request), prefix: addressPrefix(request.address) }
      const body = bodyOf(request, 'setOperatorPassword')
      const hashed = await operators.hashPassword(request, snapshot, { ...input, ...body })
      return async (_, tx, latest) =>
        rendered(await operators.changePassword(request, tx, latest, hashed), (row) => reply(row))
    },
  }
}
