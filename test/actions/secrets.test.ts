import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestActions, openActions } from '../support/actions.ts'

describe('secret actions without HTTP', () => {
  let purser: TestActions
  beforeAll(async () => {
    purser = await openActions()
  })
  afterAll(() => purser.stop())

  const path = 'prod/db'

  const put = (data: object, expected: number) => {
    const context = purser.context()
    return purser.issue('secret.put', context, (_, hints) =>
      purser.actions.secrets.put(context, { path, expected, data: { ...data } }, hints),
    )
  }

  const read = () => {
    const context = purser.context({ reason: 'a test' })
    return purser.issue('secret.read', context, (snapshot, hints) =>
      purser.actions.secrets.read(context, snapshot, [path], hints),
    )
  }

  it('puts a version, and records its state without a value', async () => {
    const { result, entry } = await put({ password: 'first' }, 0)
    expect(result).toMatchObject({ isNew: true, secret: { path, version: 1 } })
    expect(entry).toMatchObject({ action: 'secret.put', resource: { name: path }, change: { after: { version: 1 } } })
    expect(JSON.stringify(entry)).not.toContain('first')
    await expect(put({ password: 'second' }, 0)).rejects.toMatchObject({ code: 'stale' })
  })

  it('patches the live version', async () => {
    const context = purser.context()
    const { result, entry } = await purser.issue('secret.put', context, () =>
      purser.actions.secrets.patch(context, { path, expected: 1, data: { user: 'app' } }),
    )
    expect(result).toMatchObject({ isNew: false, secret: { version: 2 } })
    expect(entry).toMatchObject({ detail: { source: 'patch' } })
  })

  it('reads values, and records the versions', async () => {
    const { result, entry } = await read()
    expect(result).toMatchObject([{ path, version: 2, data: { password: 'first', user: 'app' } }])
    expect(entry).toMatchObject({ action: 'secret.read', issued: { secrets: [{ path, version: 2 }] } })
    const context = purser.context()
    const unexplained = purser.issue('secret.read', context, (snapshot, hints) =>
      purser.actions.secrets.read(context, snapshot, [path], hints),
    )
    await expect(unexplained).rejects.toMatchObject({ code: 'invalid_request' })
  })

  it('lists names, metadata, versions and consumers', async () => {
    const { secrets } = purser.actions
    const context = purser.context()
    expect(await secrets.get(path)).toMatchObject({ path, version: 2 })
    expect(await secrets.list(context, purser.snapshot(), 'prod/')(undefined, 10)).toMatchObject([{ secret: { path } }])
    const { versions } = await secrets.versions(path)
    expect(versions.map(({ version }) => version)).toEqual([2, 1])
    const { consumers } = await secrets.consumers(context, purser.snapshot(), path)
    expect(consumers).toMatchObject([{ holder: 'operator:alice', standing: 'reader', address: context.address }])
  })

  it('describes the secret', async () => {
    const context = purser.context()
    const { revision: expected } = await purser.actions.secrets.get(path)
    const { result, entry } = await purser.change('secret.metadata', context, (tx, snapshot) =>
      purser.actions.secrets.describe(context, tx, snapshot, { path, expected, labels: { team: 'db' } }),
    )
    expect(result).toMatchObject({ labels: { team: 'db' }, version: 2 })
    expect(entry).toMatchObject({ action: 'secret.metadata', change: { after: { labels: { team: 'db' } } } })
  })

  it('puts a version while issuing is closed for review', async () => {
    const context = purser.context()
    await purser.knex('log_head').update({ issuing: false })
    try {
      const { result } = await purser.issue('secret.put', context, (_, hints) =>
        purser.actions.secrets.put(context, { path: 'prod/review', expected: 0, data: { key: 'x' } }, hints),
      )
      expect(result).toMatchObject({ isNew: true })
    } finally {
      await purser.knex('log_head').update({ issuing: true })
    }
  })

  it('takes acknowledgements from sessions only', async () => {
    const context = purser.context()
    const acknowledged = purser.issue('secret.ack', context, (snapshot) =>
      purser.actions.secrets.acknowledge(context, snapshot, {
        path: { path, segments: ['prod', 'db'] },
        version: 2,
      }),
    )
    await expect(acknowledged).rejects.toMatchObject({ code: 'token_type' })
  })

  it('deletes the live version and brings it back', async () => {
    const context = purser.context()
    const deleted = await purser.change('secret.delete', context, (tx, snapshot) =>
      purser.actions.secrets.delete(context, tx, snapshot, { path, expected: 2 }),
    )
    expect(deleted.entry).toMatchObject({ action: 'secret.delete', detail: { versions: [2] } })
    await expect(read()).rejects.toMatchObject({ code: 'not_found' })
    const undeleted = await purser.change('secret.undelete', context, (tx, snapshot) =>
      purser.actions.secrets.undelete(context, tx, snapshot, { path }),
    )
    expect(undeleted.entry).toMatchObject({ action: 'secret.undelete', detail: { versions: [2] } })
    expect((await read()).result).toMatchObject([{ version: 2 }])
  })

  it('destroys a version, then the secret', async () => {
    const context = purser.context()
    const destroy = (versions?: number[]) =>
      purser.change('secret.destroy', context, (tx, snapshot) =>
        purser.actions.secrets.destroy(context, tx, snapshot, { path, ...(versions && { versions }) }),
      )
    expect((await destroy([1])).result).toMatchObject({ path })
    const { result, entry } = await destroy()
    expect(result).toBeUndefined()
    expect(entry).toMatchObject({ action: 'secret.destroy', detail: { all: true, versions: 2 } })
    await expect(purser.actions.secrets.get(path)).rejects.toMatchObject({ code: 'not_found' })
  })
})
