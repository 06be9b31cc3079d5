import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestActions, openActions } from '../support/actions.ts'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { audience } from '../support/purser.ts'

describe('attestor actions without HTTP', () => {
  let purser: TestActions
  let issuer: Issuer
  const spec = (more: Record<string, unknown> = {}) => ({
    name: 'lab',
    kind: 'oidc',
    issuer: issuer.issuer,
    audience,
    keys: { jwks: { keys: [issuer.jwk] } },
    ...more,
  })
  beforeAll(async () => {
    purser = await openActions()
    issuer = await createIssuer()
  })
  afterAll(() => purser.stop())

  it('create, replace, check and delete an attestor, each with its entry', async () => {
    const { attestors } = purser.actions
    const context = purser.context()
    const created = await purser.change('attestor.create', context, (tx, snapshot) =>
      attestors.create(context, tx, snapshot, spec()),
    )
    const { id } = created.result
    expect(created.result).toMatchObject({ name: 'lab', spiffeIdPrefix: '/lab/', revision: 1 })
    expect(created.entry).toMatchObject({
      action: 'attestor.create',
      resource: { kind: 'attestor', id, name: 'lab', revision: 1 },
      change: { after: { name: 'lab', issuer: issuer.issuer } },
    })

    const replace = (expected: number) =>
      purser.change('attestor.replace', context, (tx, snapshot) =>
        attestors.replace(context, tx, snapshot, { spec: spec({ singleUse: true }), expected }),
      )
    await expect(replace(7)).rejects.toMatchObject({ code: 'stale' })
    const replaced = await replace(1)
    expect(replaced.entry).toMatchObject({ action: 'attestor.replace', change: { after: { singleUse: true } } })
    expect(attestors.get(purser.snapshot(), 'lab')).toEqual(replaced.result)
    expect(attestors.list(purser.snapshot()).map((row) => row.name)).toContain('lab')
    expect(attestors.list(purser.snapshot(), 'terraform')).toEqual([])

    const checked = await purser.issue('attestor.check', context, (snapshot) =>
      attestors.check(context, snapshot, 'lab'),
    )
    expect(checked.result.ok).toBe(true)
    expect(checked.entry).toMatchObject({ action: 'attestor.check', resource: { id }, detail: { ok: true } })

    const deleted = await purser.change('attestor.delete', context, (tx, snapshot) =>
      attestors.delete(context, tx, snapshot, { name: 'lab', expected: 2 }),
    )
    expect(deleted.entry).toMatchObject({ action: 'attestor.delete', resource: { id, revision: 2 } })
    expect(() => attestors.get(purser.snapshot(), 'lab')).toThrow()
  })
})
