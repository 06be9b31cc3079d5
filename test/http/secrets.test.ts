/**
 * Secrets through the front door: written by operators, read by workloads within their grants, in one request or by
 * token.
 */
import { verifyReceipt } from '@purser/sdk/verify'
import { beforeAll, afterAll, describe, expect, it } from 'vitest'
import { createIssuer, registerLab, type Issuer } from '../support/issuer.ts'
import { entriesOf, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const canary = 'correct-horse-battery-staple'

describe.each(frontDoorStores)('secrets on %s', (store) => {
  let purser: TestPurser
  let issuer: Issuer
  let access = ''
  let session = ''

  beforeAll(async () => {
    purser = await startPurser({ store })
    issuer = await createIssuer()
    await registerLab(purser, issuer)
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'shop',
      attestor: 'lab',
      match: { 'oidc:sub': 'shop' },
      spiffeId: 'spiffe://example.org/lab/shop',
      grants: {
        secrets: [
          { paths: ['prod/shop/**', 'prod/db/*'], actions: ['read', 'list', 'watch'] },
          { paths: ['prod/listed/*'], actions: ['list'] },
        ],
      },
      maxSessionSeconds: 7200,
    })
    const { body } = await attest({ accessToken: {} })
    access = (body['accessToken'] as { token: string }).token
    session = (body['session'] as { id: string }).id
  })
  afterAll(() => purser.stop())

  const attest = async (request: object, sub = 'shop') =>
    purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: await issuer.token({ sub }) },
      ...request,
    })
  const put = (path: string, data: object, version: number, more: object = {}) =>
    purser.call(
      'PUT',
      `/api/v1/secrets/${path}`,
      { data, ...more },
      { token: purser.admin, headers: { 'if-match': `"${version}"` } },
    )
  const create = async (path: string, data: object): Promise<number> => {
    const answer = await put(path, data, 0)
    expect(answer.status).toBe(201)
    return Number(answer.body['version'])
  }
  const get = (path: string, token = access, headers: Record<string, string> = {}) =>
    purser.call('GET', `/api/v1/secrets/${path}`, undefined, { token, headers })
  const post = (path: string, body: object) =>
    purser.call('POST', `/api/v1/secrets/${path}`, body, { token: purser.admin })

  describe('reading', () => {
    beforeAll(async () => {
      await create('prod/db/password', { password: canary })
      await create('prod/other/key', { key: canary })
      await create('prod/listed/x', { key: canary })
    })

    it('is part of the request for credentials, and the log names path, version and session before the reply', async () => {
      const { status, body } = await attest({ secrets: ['prod/db/password', { path: 'prod/db/none', optional: true }] })
      expect(status).toBe(200)
      expect(body['secrets']).toEqual([
        {
          path: 'prod/db/password',
          version: 1,
          data: { password: canary },
          metadata: { createdAt: expect.any(String) },
        },
      ])
      const entry = JSON.parse((body['receipt'] as { entry: string }).entry)
      expect(entry).toMatchObject({
        action: 'credentials.issue',
        actor: { session: expect.stringMatching(/^ses_/) },
        issued: { secrets: [{ path: 'prod/db/password', version: 1 }] },
      })
      expect(entry.issued.secrets).toHaveLength(1)
    })

    it('accepts an access token, and returns a receipt that verifies', async () => {
      const answer = await get('prod/db/password')
      expect(answer.status).toBe(200)
      expect(answer.headers.get('etag')).toBe('"1"')
      expect(answer.body).toMatchObject({ path: 'prod/db/password', version: 1, data: { password: canary } })
      const { receipt } = answer.body
      expect(() => verifyReceipt(receipt, { vkeys: purser.vkeys })).not.toThrow()
      const [entry] = await entriesOf(purser, answer.headers.get('purser-request-id'))
      expect(entry).toMatchObject({ action: 'secret.read', outcome: 'granted', actor: { session, workload: 'shop' } })
    })

    it('reads many in one entry, or nothing', async () => {
      await create('prod/shop/a', { n: 1 })
      const many = await purser.call(
        'POST',
        '/api/v1/secrets:read',
        { secrets: ['prod/shop/a', 'prod/db/password'] },
        { token: access },
      )
      expect((many.body['secrets'] as { path: string }[]).map((secret) => secret.path)).toEqual([
        'prod/shop/a',
        'prod/db/password',
      ])
      const mixed = await purser.call(
        'POST',
        '/api/v1/secrets:read',
        { secrets: ['prod/shop/a', 'prod/other/key'] },
        { token: access },
      )
      expect([mixed.status, mixed.body.code, mixed.body['errors']]).toEqual([
        403,
        'not_granted',
        [{ pointer: '/secrets/1', detail: 'is not granted to the caller' }],
      ])
      expect(mixed.text).not.toContain(canary)
    })

    it.each([
      ['prod/other/key', 403],
      ['prod/other/none', 403],
      ['prod/listed/x', 403],
      ['prod/db/none', 404],
      ['prod/db/password/deeper', 403],
      ['prod/db', 403],
      ['prod/Shop/x', 400],
    ])('refuses %s alike whether or not it exists: %i', async (path, status) => {
      expect((await get(path)).status).toBe(status)
    })

    it.each([
      'prod/db/Password',
      'prod%2Fdb%2Fpassword',
      'prod/db/password:bogus',
      'prod/db/',
      'prod//db',
      'sys/x',
      '__proto__',
      `a/${'b'.repeat(512)}`,
      'a/'.repeat(64) + 'b',
    ])('is refused with 400 for the path %s', async (path) => {
      for (const token of [access, purser.admin]) {
        const answer = await get(path, token, { 'purser-reason': 'test' })
        expect([path.slice(0, 20), answer.status, answer.body.code]).toEqual([path.slice(0, 20), 400, 'bad_path'])
      }
    })

    it('requires a reason from operators, and lists the operator as a holder', async () => {
      expect((await get('prod/db/password', purser.admin)).status).toBe(400)
      const answer = await get('prod/db/password', purser.admin, { 'purser-reason': 'incident 7' })
      expect([answer.status, answer.body['data']]).toEqual([200, { password: canary }])
      const [entry] = await entriesOf(purser, answer.headers.get('purser-request-id'))
      expect(entry?.actor).toMatchObject({ kind: 'operator', note: 'incident 7' })
    })

    it('records which session holds which version, and accepts its acknowledgement', async () => {
      const ack = (version: number) =>
        purser.call('POST', '/api/v1/secrets/prod/db/password:ack', { version }, { token: access })
      expect((await ack(7)).status).toBe(404)
      expect((await ack(1)).status).toBe(204)
      const acked = () => purser.knex('secret_consumer').where({ holder: session, version: 1 }).whereNotNull('acked_at')
      const rows = await acked()
      // The reply of the first may have been lost.
      expect((await ack(1)).status).toBe(204)
      expect(await acked()).toEqual(rows)
      expect(rows).toHaveLength(1)
    })

    it('ends with the session, also for a cached token', async () => {
      const { body } = await attest({ accessToken: {} }, 'shop')
      const token = (body['accessToken'] as { token: string }).token
      expect((await get('prod/db/password', token)).status).toBe(200)
      expect((await purser.call('DELETE', '/api/v1/credentials/self', undefined, { token })).status).toBe(204)
      expect((await get('prod/db/password', token)).status).toBe(401)
    })

    it('ends with the grant', async () => {
      const entry = await purser.asAdmin('GET', '/api/v1/workloads/shop')
      const withToken = await attest({ accessToken: {} })
      const token = (withToken.body['accessToken'] as { token: string }).token
      const {
        id: _,
        revision,
        disabled: __,
        ...definition
      } = entry.body as Record<string, unknown> & { grants: object }
      const headers = (n: unknown) => ({ 'if-match': `"${String(n)}"` })
      const lessGranted = { ...definition, grants: { secrets: [{ paths: ['prod/shop/*'], actions: ['read'] }] } }
      await purser.asAdmin('PUT', '/api/v1/workloads/shop', lessGranted, headers(revision))
      expect((await get('prod/db/password', token)).status).toBe(403)
      await purser.asAdmin('PUT', '/api/v1/workloads/shop', definition, headers(Number(revision) + 1))
      expect((await get('prod/db/password', token)).status).toBe(200)
    })
  })

  describe('writing', () => {
    it('requires a precondition, and returns the live version for a stale one', async () => {
      const path = 'prod/shop/pre'
      const bare = await purser.call('PUT', `/api/v1/secrets/${path}`, { data: {} }, { token: purser.admin })
      expect([bare.status, bare.body.code]).toEqual([428, 'precondition_required'])
      await create(path, { n: 1 })
      const stale = await put(path, { n: 2 }, 0)
      expect([stale.status, stale.body['revision']]).toEqual([412, 1])
      expect((await put(path, { n: 2 }, 1)).body['version']).toBe(2)
    })

    it('lets one of many concurrent writers win, without a gap in the versions', async () => {
      const path = 'prod/shop/race'
      await create(path, { n: 0 })
      const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => put(path, { n }, 1)))
      expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([200, ...Array(19).fill(412)])
      const { body } = await purser.asAdmin('GET', `/api/v1/secrets/${path}:versions`)
      expect((body['items'] as { version: number }[]).map((version) => version.version)).toEqual([2, 1])
    })

    it('changes members and keeps the others', async () => {
      const path = 'prod/shop/patch'
      await create(path, { user: 'app', password: 'old', host: 'h' })
      const patched = await purser.call(
        'PATCH',
        `/api/v1/secrets/${path}`,
        { data: { password: 'new', host: null } },
        {
          token: purser.admin,
          headers: { 'if-match': '"1"' },
        },
      )
      expect(patched.body['version']).toBe(2)
      expect((await get(path)).body['data']).toEqual({ user: 'app', password: 'new' })
      expect((await get(`${path}?version=1`)).body['data']).toEqual({ user: 'app', password: 'old', host: 'h' })
    })

    it('changes only the members of the request, and restores no deleted value', async () => {
      const patch = (path: string, version: number) =>
        purser.call(
          'PATCH',
          `/api/v1/secrets/${path}`,
          { data: { added: 1 } },
          { token: purser.admin, headers: { 'if-match': `"${version}"` } },
        )
      await create('prod/shop/nulls', { kept: null })
      expect((await patch('prod/shop/nulls', 1)).status).toBe(200)
      expect((await get('prod/shop/nulls')).body['data']).toEqual({ kept: null, added: 1 })
      const path = 'prod/shop/patch-ended'
      await put(path, { old: canary }, 0, { expiresAt: new Date(Date.now() + 1000).toISOString() })
      await expect.poll(async () => (await get(path)).status).toBe(404)
      expect((await patch(path, 1)).status).toBe(404)
      expect((await get(path)).status).toBe(404)
    })

    it('deletes, undeletes and destroys', async () => {
      const path = 'prod/shop/life'
      await create(path, { n: 1 })
      await put(path, { n: 2 }, 1)
      const deletion = await purser.call('DELETE', `/api/v1/secrets/${path}`, undefined, {
        token: purser.admin,
        headers: { 'if-match': '"2"' },
      })
      expect(deletion.status).toBe(200)
      expect((await get(path)).status).toBe(404)
      expect((await get(`${path}?version=1`)).status).toBe(200)
      expect((await post(`${path}:undelete`, {})).status).toBe(200)
      expect((await get(path)).body['data']).toEqual({ n: 2 })
      expect((await post(`${path}:destroy`, { versions: [1] })).status).toBe(200)
      expect((await get(`${path}?version=1`)).status).toBe(404)
      expect((await post(`${path}:undelete`, { versions: [1] })).status).toBe(404)
      const [row] = await purser
        .knex('secret_version as v')
        .join('secret as s', 's.id', 'v.secret_id')
        .where({ path, 'v.version': 1 })
      expect([row.ciphertext, row.data_key]).toEqual([null, null])
    })

    it('continues the version numbers of a path that was destroyed as a whole', async () => {
      const path = 'prod/shop/again'
      await create(path, { n: 1 })
      await put(path, { n: 2 }, 1)
      expect((await post(`${path}:destroy`, { all: true })).status).toBe(204)
      expect((await get(path)).status).toBe(404)
      expect(await create(path, { n: 3 })).toBe(3)
      expect((await get(path)).body['data']).toEqual({ n: 3 })
      expect((await get(`${path}?version=2`)).status).toBe(404)
    })

    it('keeps a limited number of versions', async () => {
      const path = 'prod/shop/most'
      await create(path, { n: 1 })
      const described = await purser.call(
        'PUT',
        `/api/v1/secrets/${path}:metadata`,
        { maxVersions: 2, labels: { team: 'shop' } },
        {
          token: purser.admin,
          headers: { 'if-match': '"1"' },
        },
      )
      expect([described.status, described.body['labels']]).toEqual([200, { team: 'shop' }])
      await put(path, { n: 2 }, 1)
      await put(path, { n: 3 }, 2)
      expect((await get(`${path}?version=1`)).status).toBe(404)
      expect((await get(`${path}?version=2`)).status).toBe(200)
    })

    it('accepts a value with an end', async () => {
      const path = 'prod/shop/ends'
      const expiresAt = new Date(Date.now() + 1500).toISOString()
      expect((await put(path, { n: 1 }, 0, { expiresAt: '2020-01-01T00:00:00Z' })).status).toBe(422)
      expect((await put(path, { n: 1 }, 0, { expiresAt: expiresAt })).status).toBe(201)
      expect((await get(path)).status).toBe(200)
      await expect.poll(async () => (await get(path)).status).toBe(404)
    })

    it.each([
      [191 * 1024, 201],
      [193 * 1024, 413],
    ])('of %i bytes answers %i', async (bytes, status) => {
      expect((await put(`prod/shop/size-${bytes}`, { x: 'x'.repeat(bytes) }, 0)).status).toBe(status)
    })
  })

  describe('listing', () => {
    const list = (query: string, token = access) => purser.call('GET', `/api/v1/secrets?${query}`, undefined, { token })
    const paths = (body: Record<string, unknown>) => (body['items'] as { path: string }[]).map((item) => item.path)

    it('shows a workload the secrets that it may list, under a prefix, and pages', async () => {
      const { body } = await list('prefix=prod/listed')
      expect(paths(body)).toEqual(['prod/listed/x'])
      expect(paths((await list('prefix=prod/other')).body)).toEqual([])
      expect(paths((await list('prefix=prod/other', purser.admin)).body)).toEqual(['prod/other/key'])
      const first = await list('limit=1')
      const next = await list(`limit=1&cursor=${String(first.body['nextCursor'])}`)
      expect(paths(next.body)).not.toEqual(paths(first.body))
      expect((await list('prefix=prod/%25')).status).toBe(400)
    })
  })

  describe('listing a secret whose current version has no value', () => {
    const item = async (path: string, token = purser.admin) => {
      const { body } = await purser.call('GET', `/api/v1/secrets?prefix=${path}`, undefined, { token })
      return (body['items'] as Record<string, unknown>[])[0]
    }

    it('shows when it was deleted or destroyed, also to workloads, until it has a value again', async () => {
      const path = 'prod/listed/gone'
      await create(path, { n: 1 })
      expect(await item(path)).toEqual({ path, version: 1, updatedAt: expect.any(String) })
      await purser.asAdmin('DELETE', `/api/v1/secrets/${path}`, undefined, { 'if-match': '"1"' })
      const { body } = await purser.asAdmin('GET', `/api/v1/secrets/${path}:versions`)
      const [{ deletedAt } = {}] = body['items'] as { deletedAt?: string }[]
      expect(deletedAt).toEqual(expect.any(String))
      for (const token of [purser.admin, access]) expect(await item(path, token)).toMatchObject({ path, deletedAt })

      await purser.asAdmin('POST', `/api/v1/secrets/${path}:undelete`, {})
      expect(await item(path)).not.toHaveProperty('deletedAt')
      await purser.asAdmin('POST', `/api/v1/secrets/${path}:destroy`, { versions: [1] })
      expect(await item(path)).toMatchObject({ version: 1, destroyedAt: expect.any(String) })
      expect((await put(path, { n: 2 }, 1)).status).toBe(200)
      expect(await item(path)).toEqual({ path, version: 2, updatedAt: expect.any(String) })
      await purser.asAdmin('POST', `/api/v1/secrets/${path}:destroy`, { all: true })
    })
  })

  it('counts the returned values', async () => {
    const count = async (kind: string): Promise<number> => {
      const { text } = await purser.asAdmin('GET', '/metrics')
      return Number(new RegExp(`^purser_issued_total\\{credential="${kind}"\\} (\\d+)$`, 'm').exec(text)?.[1])
    }
    await create('prod/shop/counted-a', { n: 1 })
    await create('prod/shop/counted-b', { n: 1 })
    const [secrets, certificates] = [await count('secret'), await count('x509')]
    await attest({ x509: { generateKey: 'EC-P256' }, secrets: ['prod/shop/counted-a', 'prod/shop/counted-b'] }, 'web')
    expect(await count('secret')).toBe(secrets)
    await attest({ secrets: ['prod/shop/counted-a', 'prod/shop/counted-b'] })
    expect([await count('secret'), await count('x509')]).toEqual([secrets + 2, certificates])
    await attest({ x509: { generateKey: 'EC-P256' } }, 'web')
    expect(await count('x509')).toBe(certificates + 1)
  })

  it('stores no value in the clear, in the log or elsewhere', async () => {
    const log = JSON.stringify(await readLog(purser))
    expect(log).not.toContain(canary)
    expect(purser.logs.join('\n')).not.toContain(canary)
    const rows = await purser.knex('secret_version')
    for (const row of rows) expect(row.ciphertext?.includes(canary) ?? false).toBe(false)
  })

  it('cannot decrypt a value that was moved to another version, path or secret', async () => {
    await create('prod/shop/m1', { n: 'one' })
    await create('prod/shop/m2', { n: 'two' })
    const [first, second] = await Promise.all(
      ['prod/shop/m1', 'prod/shop/m2'].map(
        async (path) => (await purser.knex('secret').where({ path }).first()) as { id: string },
      ),
    )
    const from = await purser.knex('secret_version').where({ secret_id: first?.id }).first()
    await purser
      .knex('secret_version')
      .where({ secret_id: second?.id })
      .update({ ciphertext: from.ciphertext, data_key: from.data_key })
    const answer = await get('prod/shop/m2')
    expect([answer.status, answer.body.code]).toEqual([500, 'internal'])
    expect(answer.text).not.toContain('one')
  })
})
