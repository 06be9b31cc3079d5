import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestActions, openActions } from '../support/actions.ts'

describe('revocation actions without HTTP', () => {
  let purser: TestActions
  beforeAll(async () => {
    purser = await openActions()
  })
  afterAll(() => purser.stop())

  it('block a SPIFFE ID until its revocation is released', async () => {
    const { revocations } = purser.actions
    const context = purser.context({ reason: 'incident 7 is over' })
    const spiffeId = 'spiffe://example.org/join/batch'
    const { result, entry } = await purser.change('revocation.create', context, (tx, snapshot) =>
      revocations.create(context, tx, snapshot, { spiffeId, reason: 'keyCompromise' }),
    )
    expect(entry).toMatchObject({
      action: 'revocation.create',
      resource: { kind: 'revocation', id: result.id },
      change: { after: { spiffeId, blocks: 'spiffeId' } },
    })
    expect(await revocations.list(context)).toMatchObject([{ revocation: result.id, spiffeId }])

    const release = (part = context) =>
      purser.change('revocation.release', part, (tx) => revocations.release(part, tx, result.id))
    await expect(release(purser.context())).rejects.toMatchObject({ code: 'invalid_request' })
    const released = await release()
    expect(released.entry).toMatchObject({
      action: 'revocation.release',
      change: { after: { released: [{ kind: 'spiffeId', spiffeId }] } },
    })
    expect(await revocations.list(context)).toEqual([])
    await expect(release()).rejects.toMatchObject({ code: 'not_found' })
  })

  it('refuses a certificate that was never issued', async () => {
    const { revocations } = purser.actions
    const context = purser.context()
    const revoke = purser.change('revocation.create', context, (tx, snapshot) =>
      revocations.create(context, tx, snapshot, { serialNumber: '00' }),
    )
    await expect(revoke).rejects.toMatchObject({ code: 'not_found' })
  })
})
