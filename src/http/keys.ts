/** Keys: list, rotate, withdraw, and import an issuing certificate of an upstream CA. */
import type { Actions } from '../actions/actions.ts'
import { refuse } from '../errors.ts'
import type { KeyChanges } from '../keys/rotate.ts'
import type { KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { idempotent } from './idempotency.ts'
import { type KeyView, showKey, showWrappingKey } from './key-view.ts'
import { type ListParts, createPages } from './lists.ts'
import { rendered } from './rendered.ts'
import { type Reply, bodyOf, json } from './request.ts'
import type { ChangeState, Read } from './route-kinds.ts'

export function createKeyRoutes(
  parts: ListParts & { actions: Pick<Actions, 'keys'> },
): { list: Read } & Record<'rotate' | 'csr' | 'import', ChangeState> {
  const { keys } = parts.actions
  const page = createPages(parts)

  const rotate: ChangeState = async (request, tx, snapshot) => {
    const { kind } = request.params
    const options = request.body === undefined ? {} : bodyOf(request, 'rotateKey')
    if (options.level !== undefined && kind !== 'ca') {
      throw refuse('invalid_request', { errors: [{ pointer: '/level', detail: 'only a CA has levels' }] })
    }
    if (kind === 'ca' || kind === 'jwt' || kind === 'log') {
      const change = await keys.rotate(request, tx, snapshot, { ...options, kind })
      return rendered(change, (changes) => showChanges(changes, snapshot, request.time))
    }
    return rendered(await keys.rotateKeyring(request, tx, snapshot), ({ created, replaced }) =>
      json({
        created: [showWrappingKey(created, created.id)],
        replaced: replaced.map((key) => showWrappingKey(key, created.id)),
      }),
    )
  }

  const importCa: ChangeState = async (request, tx, snapshot) => {
    const change = await keys.import(request, tx, snapshot, bodyOf(request, 'importCaChain'))
    return rendered(change, (imported) => json(showAmong([imported], snapshot, request.time)(imported)))
  }

  return {
    async list(request, snapshot) {
      const { keys: rows, wrapping, current } = await keys.list(request, snapshot)
      return page(request, snapshot, {
        list: 'keys',
        rows: [
          ...rows.map((row) => showKey(row, snapshot, request.time)),
          ...wrapping.map((row) => showWrappingKey(row, current, row.values)),
        ],
        keyOf: (view: KeyView) => `${view.kind} ${view.createdAt} ${view.id}`,
        show: (view) => view,
      })
    },
    rotate: idempotent(parts, rotate),
    csr: idempotent(parts, async (request, tx) =>
      rendered(await keys.csr(request, tx), (requested) => json(requested, { status: 201 })),
    ),
    import: idempotent(parts, importCa),
  }
}

/** Shows keys that a change wrote. Their states follow from the new rows, which the snapshot does not have yet. */
function showAmong(rows: readonly KeyRow[], { trustDomain }: Snapshot, now: Date): (row: KeyRow) => KeyView {
  const keys = new Map(rows.map((row) => [row.id, row]))
  return (row) => showKey(row, { keys, trustDomain }, now)
}

function showChanges({ created, retired, withdrawn }: KeyChanges, snapshot: Snapshot, now: Date): Reply {
  const replaced = [...retired, ...withdrawn]
  const show = showAmong([...created, ...replaced], snapshot, now)
  return json({ created: created.map(show), replaced: replaced.map(show) })
}
