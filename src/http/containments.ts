/** Containments: create, list, show, release. */
import type { Actions } from '../actions/actions.ts'
import { newestFirst, showContainment, showSummary } from './containment-view.ts'
import { type ListParts, createPages } from './lists.ts'
import { idOf } from './params.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json } from './request.ts'
import type { Act, ChangeState, Read } from './route-kinds.ts'
import type { Snapshots } from '../store/snapshot.ts'

type Parts = ListParts & { actions: Pick<Actions, 'containments'>; snapshots: Pick<Snapshots, 'current'> }

export function createContainmentRoutes(parts: Parts) {
  const { containments } = parts.actions
  const page = createPages(parts)

  const create: Act = async (request, acting) => {
    const recorded = await containments.create(request, acting, bodyOf(request, 'createContainment'))
    return rendered(recorded, (contained) =>
      json(showContainment(contained, parts.snapshots.current()), {
        status: contained.row.id === undefined ? 200 : 201,
        ...(contained.place !== undefined && { headers: { 'purser-log-index': contained.place } }),
      }),
    )
  }

  const list: Read = async (request, snapshot) =>
    page(request, snapshot, {
      list: 'containments',
      rows: await containments.list(request, snapshot),
      keyOf: newestFirst,
      show: showSummary,
    })

  const get: Read = async (request, snapshot) =>
    json(showContainment(await containments.get(request, snapshot, idOf(request)), snapshot))

  const release: ChangeState = async (request, tx, snapshot) =>
    rendered(await containments.release(request, tx, snapshot, idOf(request)), (contained) =>
      json(showContainment(contained, snapshot)),
    )

  return { create, list, get, release }
}
