import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestActions, openActions } from '../support/actions.ts'

describe('containment actions without HTTP', () => {
  let purser: TestActions
  beforeAll(async () => {
    purser = await openActions()
    for (const id of ['tok_first', 'tok_second'])
      await purser.change('bootstrap.exchange', purser.context(), async (tx) => {
        const at = purser.now()
        const expiresAt = new Date(at.getTime() + 3600_000)
        const row = {
          id,
          hash: Buffer.from(id),
          operator: id.slice(4),
          role: 'admin',
          created_at: at,
          expires_at: expiresAt,
        }
        await tx('api_token').insert(row)
        return { result: undefined, entry: {}, changed: [{ table: 'api_token', where: { id } }] }
      })
  })
  afterAll(() => purser.stop())

  it('revoke an API token, and leave the last one of an admin', async () => {
    const { containments } = purser.actions
    const context = { ...purser.context({ reason: 'incident 7' }), operation: 'createContainment', params: {} }
    const contain = (tokenId: string) =>
      purser.act('containment.create', context, (acting) =>
        containments.create(context, acting, { match: { tokenId } }),
      )
    const { result, entry } = await contain('tok_first')
    const id = result.row.id ?? ''
    expect(entry).toMatchObject({
      action: 'containment.create',
      resource: { kind: 'containment', id },
      revoked: { apiTokens: ['tok_first'] },
    })
    expect(purser.snapshot().apiTokens.get('tok_first')?.revokedAt).toBeDefined()
    const others = [...purser.snapshot().apiTokens.values()].filter((row) => !row.revokedAt && row.role === 'admin')
    expect(others.map((row) => row.id)).toContain('tok_second')
    if (others.length === 1) await expect(contain('tok_second')).rejects.toMatchObject({ code: 'conflict' })

    expect((await containments.get(context, purser.snapshot(), id)).row).toMatchObject({
      match: { tokenId: 'tok_first' },
    })
    expect((await containments.list(context, purser.snapshot())).map((row) => row.id)).toEqual([id])
    const release = purser.change('containment.release', context, (tx, snapshot) =>
      containments.release(context, tx, snapshot, id),
    )
    await expect(release).rejects.toMatchObject({ code: 'not_found' })
  })
})
