/** Writes of secrets share one append. Each still has its own precondition, which is compared with the stored state. */
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testDatabase } from '../support/database.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const generated = { rotator: { kind: 'generated', fields: { key: { length: 40, alphabet: 'hex' } } } }

describe('writes of secrets at two replicas', () => {
  let first: TestPurser
  let second: TestPurser
  let dropDatabase: () => Promise<void>
  beforeAll(async () => {
    const database = await testDatabase()
    dropDatabase = database.drop
    const rootKey = Buffer.alloc(32, 7).toString('base64')
    const env = { PURSER_LIMIT_ADDRESS_PER_SECOND: '10000' }
    first = await startPurser({ env, existing: { url: database.url, rootKey, admin: '' } })
    second = await startPurser({ env, existing: { url: database.url, rootKey, admin: first.admin } })
  })
  afterAll(async () => {
    await first.stop()
    await second.stop()
    await dropDatabase()
  })

  const headers = (version: number) => ({ token: first.admin, headers: { 'if-match': `"${version}"` } })
  const put = (replica: TestPurser, path: string, version: number, data: object = { key: `after ${version}` }) =>
    replica.call('PUT', `/api/v1/secrets/${path}`, { data }, headers(version))
  const read = (replica: TestPurser, path: string) =>
    replica.call('GET', `/api/v1/secrets/${path}`, undefined, {
      token: first.admin,
      headers: { 'purser-reason': 'a test' },
    })
  const statuses = async (replies: Promise<{ status: number }>[]): Promise<Record<number, number>> => {
    const counts: Record<number, number> = {}
    for (const { status } of await Promise.all(replies)) counts[status] = (counts[status] ?? 0) + 1
    return counts
  }
  const replicaOf = (n: number): TestPurser => (n % 2 === 0 ? first : second)

  it('let one of a hundred writers create a secret', async () => {
    const replies = Array.from({ length: 100 }, (_, n) => put(replicaOf(n), 'race/new', 0, { key: String(n) }))
    expect(await statuses(replies)).toEqual({ 201: 1, 412: 99 })
    const { body } = await first.asAdmin('GET', '/api/v1/secrets/race/new:versions')
    expect(body['items']).toHaveLength(1)
  })

  it('let one of a hundred writers of one version win', async () => {
    await put(first, 'race/old', 0)
    const replies = Array.from({ length: 100 }, (_, n) => put(replicaOf(n), 'race/old', 1, { key: String(n) }))
    expect(await statuses(replies)).toEqual({ 200: 1, 412: 99 })
    const { body } = await second.asAdmin('GET', '/api/v1/secrets/race/old:versions')
    expect(body['items']).toMatchObject([{ version: 2 }, { version: 1 }])
  })

  it('of different secrets all succeed, and the log has an entry for each', async () => {
    const paths = Array.from({ length: 60 }, (_, n) => `many/s${n}`)
    expect(await statuses(paths.map((path, n) => put(replicaOf(n), path, 0)))).toEqual({ 201: 60 })
    const entries: { body: string }[] = await first.knex('log_entry').where('body', 'like', '%"many/s%').select('body')
    expect(new Set(entries.map(({ body }) => JSON.parse(body).resource.name))).toEqual(new Set(paths))
  })

  it('are read at the other replica at once, though it has read the version before', async () => {
    await put(first, 'fresh/db', 0)
    for (let version = 1; version < 20; version++) {
      expect((await read(second, 'fresh/db')).body).toMatchObject({ version })
      await put(first, 'fresh/db', version)
    }
    await first.asAdmin('DELETE', '/api/v1/secrets/fresh/db', undefined, { 'if-match': '"20"' })
    expect((await read(second, 'fresh/db')).status).toBe(404)
    await put(first, 'fresh/db', 20)
    expect((await read(second, 'fresh/db')).body).toMatchObject({ version: 21 })
  })

  it('are refused while a rotation runs, and wait for an uncommitted change of the secret', async () => {
    await put(first, 'rotating/db', 0)
    await first.asAdmin('PUT', '/api/v1/secrets/rotating/db:rotation', generated, { 'if-match': '"0"' })
    expect((await first.asAdmin('POST', '/api/v1/secrets/rotating/db:rotate', {})).status).toBe(202)
    expect((await put(second, 'rotating/db', 1)).status).toBe(409)

    await put(first, 'locked/db', 0)
    const isWritten = first.knex.transaction(async (tx) => {
      await tx('secret').where({ path: 'locked/db' }).forUpdate().first()
      const reply = put(second, 'locked/db', 1)
      await pause(100)
      // Other writes do not wait for it.
      expect((await put(second, 'free/db', 0)).status).toBe(201)
      return { reply }
    })
    const { reply } = await isWritten
    expect((await reply).status).toBe(200)
  })

  it('of a path that the process wrote last are judged by what another replica changed since', async () => {
    await put(first, 'kept/db', 0)
    const metadata = { maxVersions: 1, description: 'of another replica' }
    await second.asAdmin('PUT', '/api/v1/secrets/kept/db:metadata', metadata, { 'if-match': '"1"' })
    expect(await put(first, 'kept/db', 1)).toMatchObject({
      status: 200,
      body: { version: 2, revision: 3, ...metadata },
    })
    expect((await put(second, 'kept/db', 2)).body).toMatchObject({ version: 3 })
    expect((await put(first, 'kept/db', 2)).status).toBe(412)
    expect((await put(first, 'kept/db', 3)).body).toMatchObject({ version: 4 })
    const { body } = await first.asAdmin('GET', '/api/v1/secrets/kept/db:versions')
    const items = body['items'] as { version: number; destroyedAt?: string }[]
    expect(items.filter(({ destroyedAt }) => destroyedAt === undefined).map(({ version }) => version)).toEqual([4])

    await put(first, 'ended/db', 0)
    await second.asAdmin('POST', '/api/v1/secrets/ended/db:destroy', { all: true }, { 'purser-reason': 'a test' })
    expect((await put(first, 'ended/db', 1)).status).toBe(412)
    await put(second, 'ended/db', 0)
    expect((await put(first, 'ended/db', 2)).body).toMatchObject({ version: 3 })

    await put(first, 'turning/db', 0)
    await second.asAdmin('PUT', '/api/v1/secrets/turning/db:rotation', generated, { 'if-match': '"0"' })
    expect((await second.asAdmin('POST', '/api/v1/secrets/turning/db:rotate', {})).status).toBe(202)
    expect((await put(first, 'turning/db', 1)).status).toBe(409)
  })

  it('keep a number of versions, and destroy the values of the others', async () => {
    await put(first, 'pruned/db', 0)
    for (let version = 1; version < 12; version++) expect((await put(first, 'pruned/db', version)).status).toBe(200)
    const { body } = await first.asAdmin('GET', '/api/v1/secrets/pruned/db:versions')
    const items = body['items'] as { version: number; destroyedAt?: string }[]
    expect(items.filter(({ destroyedAt }) => destroyedAt !== undefined).map(({ version }) => version)).toEqual([2, 1])
    const { rows } = await first.knex.raw<{ rows: { n: string }[] }>(
      `select count(*) as n from secret_version v join secret s on s.id = v.secret_id where s.path = 'pruned/db' and ciphertext is not null`,
    )
    expect(Number(rows[0]?.n)).toBe(10)
  })

  it('continue the numbers of a destroyed secret', async () => {
    await put(first, 'again/db', 0)
    await first.asAdmin('POST', '/api/v1/secrets/again/db:destroy', { all: true }, { 'purser-reason': 'a test' })
    expect((await put(second, 'again/db', 0)).body).toMatchObject({ version: 2 })
  })

  it('invalidate no decision: the revision of the policy stays', async () => {
    const revision = () => first.knex('log_head').first('policy_revision', 'revision')
    const before = await revision()
    await put(second, 'quiet/db', 0)
    const after = await revision()
    expect(after.policy_revision).toBe(before.policy_revision)
    expect(Number(after.revision)).toBeGreaterThan(Number(before.revision))
    await first.asAdmin('PUT', '/api/v1/secrets/quiet/db:metadata', { labels: { a: 'b' } }, { 'if-match': '"1"' })
    expect((await revision()).policy_revision).toBe(before.policy_revision)
  })
})
