/** The removal of versions after their end, and of the rows of their consumers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const day = 24 * 3600

describe.each(frontDoorStores)('the sweep of secrets on %s', (store) => {
  const clock = createClock()
  let purser: TestPurser
  let lab: Lab
  beforeAll(async () => {
    // An API token of the first start lives for 90 days by the test's clock.
    purser = await startPurser({ store, now: clock.now })
    lab = await createLab(purser, clock)
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'shop',
      attestor: 'lab',
      match: { 'oidc:sub': 'shop' },
      spiffeId: 'spiffe://example.org/lab/shop',
      grants: { secrets: [{ paths: ['prod/*'], actions: ['read'] }] },
      maxSessionSeconds: 3600,
    })
  })
  afterAll(() => purser.stop())

  const put = (path: string, version: number, expires?: number) =>
    purser.asAdmin(
      'PUT',
      `/api/v1/secrets/${path}`,
      {
        data: { version },
        ...(expires && { expiresAt: new Date(clock.now().getTime() + expires * 1000).toISOString() }),
      },
      { 'if-match': `"${version}"` },
    )
  const storedVersions = async (): Promise<string[]> =>
    (
      await purser
        .knex('secret_version as v')
        .join('secret as s', 's.id', 'v.secret_id')
        .whereNotNull('v.ciphertext')
        .orderBy(['s.path', 'v.version'])
        .select('s.path', 'v.version')
    ).map((row: { path: string; version: number }) => `${row.path}/${row.version}`)
  const holders = async (): Promise<string[]> =>
    (await purser.knex('secret_consumer').orderBy('holder').select('holder')).map((row: { holder: string }) =>
      row.holder.replace(/^ses_.*/, 'session'),
    )

  it('destroys versions that expired a week ago, with one entry for each secret; live and younger ones stay', async () => {
    await put('prod/a', 0, 3600)
    await put('prod/a', 1)
    await put('prod/b', 0, 3600)
    await put('prod/b', 1, 7200)
    await put('prod/young', 0, 5 * day)
    clock.advance(7 * day)
    await purser.runJobs()
    expect(await storedVersions()).toEqual(['prod/a/1', 'prod/a/2', 'prod/b/1', 'prod/b/2', 'prod/young/1'])
    clock.advance(2 * 3600 + 1)
    await purser.runJobs()
    await purser.runJobs()
    expect(await storedVersions()).toEqual(['prod/a/2', 'prod/young/1'])
    const entries = (await readLog(purser)).filter((entry) => entry.action === 'secret.destroy')
    expect(entries.map((entry) => [entry.actor.kind, entry.resource?.name, entry.detail])).toEqual(
      expect.arrayContaining([
        ['system', 'prod/a', { versions: [1], expired: true }],
        ['system', 'prod/b', { versions: [1, 2], expired: true }],
      ]),
    )
    expect(entries).toHaveLength(2)
    const { body } = await purser.asAdmin('GET', '/api/v1/secrets/prod/b:versions')
    expect(body['items']).toEqual([
      expect.objectContaining({ version: 2, destroyedAt: expect.any(String) }),
      expect.objectContaining({ version: 1, destroyedAt: expect.any(String) }),
    ])
    // A path without versions continues its version numbers.
    expect((await put('prod/b', 2)).body['version']).toBe(3)
  })

  it('removes consumers a month after their end, and never a live one', async () => {
    const read = (sub: string) => lab.get({ sub }, { x509: undefined, jwts: [], secrets: ['prod/a'] })
    await read('shop')
    await purser.asAdmin('GET', '/api/v1/secrets/prod/a', undefined, { 'purser-reason': 'test' })
    expect(await holders()).toEqual(['operator:admin', 'session'])
    clock.advance(29 * day)
    await purser.runJobs()
    expect(await holders()).toEqual(['operator:admin', 'session'])
    await read('shop')
    clock.advance(2 * day)
    await purser.runJobs()
    expect(await holders()).toEqual(['session'])
  })
})
