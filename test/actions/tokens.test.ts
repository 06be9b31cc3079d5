import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { replaceBootstrapToken } from '../../src/actions/tokens/bootstrap.ts'
import { createFirstUse } from '../../src/actions/tokens/first-use.ts'
import { newToken } from '../../src/names/token.ts'
import { type TestActions, openActions } from '../support/actions.ts'

describe('token actions without HTTP', () => {
  let purser: TestActions
  beforeAll(async () => {
    purser = await openActions()
  })
  afterAll(() => purser.stop())

  it('exchange a bootstrap token for an admin token, record its first use and revoke it', async () => {
    const { tokens } = purser.actions
    const boot = newToken('boot', randomBytes)
    const operator = purser.context()
    const reissued = await purser.change('bootstrap.create', operator, async (tx) => ({
      ...(await replaceBootstrapToken(tx, boot, operator.time)),
      result: undefined,
    }))
    expect(reissued.entry).toMatchObject({ resource: { kind: 'bootstrap-token', id: boot.id } })

    const bearer = purser.context({ caller: { kind: 'bootstrap', hash: boot.hash } })
    const exchange = () =>
      purser.change('bootstrap.exchange', bearer, (tx, snapshot) => tokens.exchangeBootstrap(bearer, tx, snapshot))
    const first = await exchange()
    const second = await exchange()
    expect(second.entry).toMatchObject({
      action: 'bootstrap.exchange',
      actor: { kind: 'bootstrap', tokenId: boot.id },
      issued: { apiToken: { id: second.result.tokenId } },
      detail: { revokedTokenId: first.result.tokenId },
    })

    const { tokenId } = second.result
    const { requestId, time } = purser.context()
    const actor = { kind: 'operator' as const, operator: 'admin', tokenId }
    await createFirstUse(purser)({ requestId, action: 'token.use', time, actor }, tokenId)
    expect(purser.snapshot().apiTokens.get(tokenId)?.used).toBe(true)
    await expect(exchange()).rejects.toMatchObject({ code: 'unauthenticated' })

    const revoke = purser.change('token.revoke', operator, (tx, snapshot) =>
      tokens.revoke(operator, tx, snapshot, tokenId),
    )
    await expect(revoke).rejects.toMatchObject({ code: 'conflict' })
  })

  it('create a join token for an entry of the attestor join', async () => {
    const { tokens, workloads } = purser.actions
    const context = purser.context()
    const definition = { name: 'batch', attestor: 'join', spiffeId: 'spiffe://example.org/join/batch' }
    await purser.change('workload.create', context, (tx, snapshot) =>
      workloads.create(context, tx, snapshot, definition),
    )
    const create = (workload: string) =>
      purser.change('join-token.create', context, (tx, snapshot) =>
        tokens.createJoinToken(context, tx, snapshot, { workload, uses: 2 }),
      )
    const { result, entry } = await create('batch')
    expect(result).toMatchObject({ workload: 'batch', uses: 2, token: expect.stringMatching(/^purser_join_/) })
    expect(entry).toMatchObject({
      action: 'join-token.create',
      resource: { kind: 'join-token', id: result.id },
      change: { after: { workload: 'batch', uses: 2 } },
    })
    expect(JSON.stringify(entry)).not.toContain(result.token)
    await expect(create('nothing')).rejects.toMatchObject({ code: 'impossible' })
  })
})
