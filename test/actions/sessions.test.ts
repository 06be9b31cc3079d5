import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AccountCaller } from '../../src/authorize/caller.ts'
import { type TestActions, admin, openActions } from '../support/actions.ts'

describe('session actions without HTTP', () => {
  let purser: TestActions
  beforeAll(async () => {
    purser = await openActions()
  })
  afterAll(() => purser.stop())

  it('describes an operator', () => {
    const { kind, operator, role, tokenId } = { ...admin } as AccountCaller
    expect(purser.actions.sessions.self(admin, purser.snapshot())).toEqual({ kind, operator, role, tokenId })
  })

  it('refuses to end the session of an operator, who has none', async () => {
    const context = purser.context()
    const change = purser.change('session.end', context, (tx) => purser.actions.sessions.end(context, tx))
    await expect(change).rejects.toMatchObject({ code: 'token_type' })
  })

  it('refuses a token that was never issued', async () => {
    expect(await purser.actions.sessions.introspect(purser.context(), purser.snapshot(), 'eyJ')).toBeUndefined()
  })
})
