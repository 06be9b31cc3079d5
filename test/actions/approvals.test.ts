import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Caller } from '../../src/authorize/caller.ts'
import { type TestActions, admin, openActions } from '../support/actions.ts'

const request = { method: 'POST', path: '/api/v1/log:redact', body: { epoch: 1, from: 0, to: 1, rule: 'a year' } }

describe('approval actions without HTTP', () => {
  let purser: TestActions
  let now = Date.now()
  const callerNamed = (operator: string): Caller => ({ ...admin, operator, tokenId: `tok_${operator}` }) as Caller
  beforeAll(async () => {
    purser = await openActions({ env: { PURSER_APPROVAL_ACTIONS: 'log.redact' }, now: () => new Date(now) })
    for (const name of ['alice', 'ben'])
      await purser.change('operator.create', purser.context(), (tx, snapshot) =>
        purser.actions.operators.create(purser.context(), tx, snapshot, { name, role: 'admin' }),
      )
    now += 1000
  })
  afterAll(() => purser.stop())

  const alice = () => purser.context()
  const ben = () => purser.context({ caller: callerNamed('ben'), reason: 'no' })
  const wanted = { request, route: 'POST /api/v1/log:redact', action: 'log.redact', permission: 'keys.write', reason: 'r' } as const // prettier-ignore
  const requested = async () =>
    (
      await purser.change('approval.request', alice(), (tx, snapshot) =>
        purser.actions.approvals.request(alice(), tx, snapshot, wanted),
      )
    ).result

  it('request, get and list', async () => {
    const { approvals } = purser.actions
    const { id } = await requested()
    expect(await approvals.get(ben(), purser.snapshot(), id)).toMatchObject({ id, operator: 'alice' })
    const listed = await approvals.list(ben(), purser.snapshot(), { state: 'pending', max: 10 })
    expect(listed.map((row) => row.id)).toContain(id)
    expect(await approvals.list(ben(), purser.snapshot(), { state: 'used', max: 10 })).toEqual([])
  })

  it('deny and withdraw', async () => {
    const { approvals } = purser.actions
    const [first, second] = [await requested(), await requested()]
    const denied = await purser.change('approval.deny', ben(), (tx, snapshot) =>
      approvals.deny(ben(), tx, snapshot, first.id),
    )
    expect(denied.entry).toMatchObject({ change: { after: { action: 'log.redact', state: 'denied' } } })
    const withdrawn = await purser.change('approval.withdraw', alice(), (tx, snapshot) =>
      approvals.withdraw(alice(), tx, snapshot, second.id),
    )
    expect(withdrawn.result.endedAt).toBeInstanceOf(Date)
  })

  it('approve, and use in a change or an issuance', async () => {
    const { approvals } = purser.actions
    const acts: Record<string, (id: string) => Promise<{ entry: object }>> = {
      change: (id) =>
        purser.change('log.redact', alice(), (tx, snapshot) =>
          approvals.change({ ...alice(), exact: request, approval: id }, tx, snapshot, async () => ({
            result: 1,
            entry: {},
          })),
        ),
      issue: (id) =>
        purser.issue('log.redact', alice(), (snapshot) =>
          approvals.issue({ ...alice(), exact: request, approval: id }, snapshot, async () => ({
            result: 1,
            entry: {},
          })),
        ),
    }
    for (const act of Object.values(acts)) {
      const { id } = await requested()
      await expect(act(id)).rejects.toMatchObject({ code: 'approval_required' })
      await purser.change('approval.approve', ben(), (tx, snapshot) => approvals.approve(ben(), tx, snapshot, id))
      expect((await act(id)).entry).toMatchObject({ approval: { id, approver: 'ben' } })
      await expect(act(id)).rejects.toMatchObject({ code: 'approval_required' })
    }
  })
})
