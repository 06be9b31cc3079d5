import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { snapshotFor } from '../../src/authorize/scope.ts'
import { readBound } from '../../src/names/bound.ts'
import { WorkloadTable } from '../../src/store/memory/workloads.ts'
import { type TestActions, admin, openActions } from '../support/actions.ts'

describe('workload actions without HTTP', () => {
  let purser: TestActions
  const definition = (more: Record<string, unknown> = {}) => ({
    name: 'batch',
    attestor: 'join',
    spiffeId: 'spiffe://example.org/join/batch',
    ...more,
  })
  beforeAll(async () => {
    purser = await openActions()
  })
  afterAll(() => purser.stop())

  it('create, replace, disable, enable and delete an entry, each with its entry in the log', async () => {
    const { workloads } = purser.actions
    const context = purser.context()
    const created = await purser.change('workload.create', context, (tx, snapshot) =>
      workloads.create(context, tx, snapshot, definition()),
    )
    const { id } = created.result.row
    expect(created.entry).toMatchObject({
      action: 'workload.create',
      resource: { kind: 'workload', id, name: 'batch', revision: 1 },
      change: { after: { name: 'batch', disabled: false } },
    })

    const replaced = await purser.change('workload.replace', context, (tx, snapshot) =>
      workloads.replace(context, tx, snapshot, { definition: definition({ maxSessionSeconds: 600 }), expected: 1 }),
    )
    expect(replaced.entry).toMatchObject({ action: 'workload.replace', change: { after: { maxSessionSeconds: 600 } } })
    const list = (filters: Parameters<typeof workloads.list>[1], after?: string) =>
      workloads.list(purser.snapshot(), filters)(after, 10)
    expect(await list({ attestor: 'join' })).toEqual([replaced.result.row])
    expect(await list({ attestor: 'join' }, 'batch')).toEqual([])
    expect(await list({ managedBy: 'terraform' })).toEqual([])

    const disable = () =>
      purser.change('workload.disable', context, (tx, snapshot) => workloads.disable(context, tx, snapshot, 'batch'))
    expect((await disable()).entry).toMatchObject({ action: 'workload.disable', change: { after: { disabled: true } } })
    expect((await disable()).entry.change).toBeUndefined()
    const enabled = await purser.change('workload.enable', context, (tx, snapshot) =>
      workloads.enable(context, tx, snapshot, 'batch'),
    )
    expect(enabled.result.row).toMatchObject({ disabled: false, revision: 4 })

    expect(await workloads.get(context, purser.snapshot(), 'batch')).toMatchObject({ id, revision: 4 })
    const earlier = await workloads.get(context, purser.snapshot(), 'batch', 1)
    expect(earlier).toMatchObject({ id, revision: 1, state: created.entry.change?.after })

    const deleted = await purser.change('workload.delete', context, (tx, snapshot) =>
      workloads.delete(context, tx, snapshot, { name: 'batch', expected: 4 }),
    )
    expect(deleted.entry).toMatchObject({ action: 'workload.delete', resource: { id, revision: 4 } })
    await expect(workloads.get(context, purser.snapshot(), 'batch')).rejects.toMatchObject({ code: 'not_found' })
  })

  it('list gives other work its turn, also among entries that the caller may not know', async () => {
    if (admin.kind !== 'operator') throw new Error('no operator')
    const workloads = new WorkloadTable()
    for (let n = 0; n < 5_000; n++) {
      const name = `other-${n}`
      workloads.set({
        id: name,
        name,
        attestorId: 'att',
        definition: definition({ name }),
        disabled: false,
        revision: 1,
      })
    }
    const caller = { ...admin, bound: readBound({ attestors: ['lab'], spiffeIdPrefix: '/lab/shop/' }) }
    const snapshot = snapshotFor(caller, { ...purser.snapshot(), workloads })
    let turns = 0
    const over = new AbortController()
    const others = (async () => {
      for (; !over.signal.aborted; turns++) await nextTurn()
    })()
    expect(await purser.actions.workloads.list(snapshot, {})(undefined, 10)).toEqual([])
    over.abort()
    await others
    expect(turns).toBeGreaterThanOrEqual(5)
  })
})
