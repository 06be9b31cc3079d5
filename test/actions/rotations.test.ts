import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestActions, openActions } from '../support/actions.ts'

describe('rotation actions without HTTP', () => {
  let purser: TestActions
  const path = 'prod/key'
  const policy = { rotator: { kind: 'generated', fields: { key: { length: 40, alphabet: 'hex' } } } }

  beforeAll(async () => {
    purser = await openActions()
    for (const expected of [0, 1]) {
      const context = purser.context()
      await purser.issue('secret.put', context, (_, hints) =>
        purser.actions.secrets.put(context, { path, expected, data: { key: `version ${expected + 1}` } }, hints),
      )
    }
  })
  afterAll(() => purser.stop())

  const rotationState = () => purser.actions.rotations.get(purser.context(), purser.snapshot(), path)

  it('sets a policy', async () => {
    const context = purser.context()
    const { result, entry } = await purser.change('secret.rotation', context, (tx, snapshot) =>
      purser.actions.rotations.put(context, tx, snapshot, { path, expected: 0, policy }),
    )
    expect(result).toMatchObject({ isNew: true, policy: { revision: 1 }, rotations: [] })
    expect(entry).toMatchObject({ action: 'secret.rotation', change: { after: { revision: 1, policy } } })
    const policies = await purser.actions.rotations.policies(context, {
      managedBy: undefined,
      after: undefined,
      max: 10,
    })
    expect(policies).toMatchObject([{ path, revision: 1 }])
  })

  it('rotates to the value that was prepared before the transaction', async () => {
    const context = purser.context()
    const input = { path, terms: { deadlineSeconds: 600 } }
    const prepared = await purser.actions.rotations.prepare(context, input)
    expect(prepared).toMatchObject({ fromVersion: 2, data: { key: expect.stringMatching(/^[0-9a-f]{40}$/) } })
    const { result, entry } = await purser.change('secret.rotate', context, (tx, snapshot) =>
      purser.actions.rotations.rotate(context, tx, snapshot, input, prepared),
    )
    expect(result.rotations).toMatchObject([{ state: 'pending', fromVersion: 2, toVersion: 3 }])
    expect(entry).toMatchObject({ outcome: 'intended', detail: { rotator: 'generated', deadlineSeconds: 600 } })
    const { rotations } = purser.actions
    expect(await rotations.list(context, 'prod/')).toMatchObject([{ path, toVersion: 3 }])
    expect(await rotations.find(context, purser.snapshot(), result.secret.id)).toMatchObject({ secret: { path } })
  })

  it('cancels the rotation', async () => {
    const context = purser.context()
    const { entry } = await purser.change('secret.rotation', context, (tx, snapshot) =>
      purser.actions.rotations.steer(context, tx, snapshot, { path, verb: { do: 'cancel' } }),
    )
    expect(entry).toMatchObject({ action: 'secret.rotation', detail: { do: 'cancel' } })
    expect(await rotationState()).toMatchObject({ rotations: [{ state: 'failed', lastError: 'cancelled' }] })
  })

  it('removes the policy', async () => {
    const context = purser.context()
    const { entry } = await purser.change('secret.rotation', context, (tx, snapshot) =>
      purser.actions.rotations.delete(context, tx, snapshot, { path, expected: 1 }),
    )
    expect(entry).toMatchObject({ detail: { do: 'remove', policy: 1 } })
    expect((await rotationState()).policy).toBeUndefined()
  })

  it('rolls back to an earlier version', async () => {
    const context = purser.context()
    const { result, entry } = await purser.change('secret.rollback', context, (tx, snapshot) =>
      purser.actions.rotations.rollBack(context, tx, snapshot, { path, toVersion: 1 }),
    )
    expect(result.rotations[0]).toMatchObject({ state: 'pending', fromVersion: 2 })
    expect(entry).toMatchObject({ action: 'secret.rollback', outcome: 'intended', detail: { rollbackTo: 1 } })
  })
})
