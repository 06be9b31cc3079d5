/**
 * The restore drill of docs/backup.md: a database is backed up, Purser continues, and the backup is restored.
 * Credentials of the lost time are refused, findings are listed, and the dump itself contains no usable credential
 * (SECURITY.md, promise 6).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkBackup } from '../../src/cli/backup/check.ts'
import { cli } from '../support/cli.ts'
import { type IssuedCredentials, type Lab, createLab } from '../support/lab.ts'
import { createPlace } from '../support/place.ts'
import type { TestPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const canary = 'hunter2-correct-horse'

describe.each(frontDoorStores)('a restore on %s', (store) => {
  let place: Awaited<ReturnType<typeof createPlace>>
  let purser: TestPurser
  let lab: Lab
  let [before, after]: (IssuedCredentials | undefined)[] = []
  let lateToken = ''
  const run = (argv: string[]) => cli(argv, { env: place.env() })
  const put = (path: string, data: object, version: number) =>
    purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data }, { 'if-match': `"${version}"` })
  const introspect = async (token: string): Promise<unknown> =>
    (await purser.asAdmin('POST', '/api/v1/introspect', { token })).body['active']
  const check = (parts: Partial<Parameters<typeof checkBackup>[1]> = {}) =>
    checkBackup({ env: place.env(), readFile: () => '' }, { now: new Date(), ...parts })

  beforeAll(async () => {
    place = await createPlace(store)
    purser = await place.start()
    // The server that runs at the time.
    lab = await createLab({ ...purser, call: (...args) => purser.call(...args) })
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'shop',
      attestor: 'lab',
      match: { 'oidc:sub': 'shop' },
      spiffeId: 'spiffe://example.org/lab/shop',
      grants: { secrets: [{ paths: ['prod/*'], actions: ['read'] }] },
      maxSessionSeconds: 7200,
    })
    for (const name of ['a', 'b', 'rotated']) await put(`prod/${name}`, { password: `${canary}-${name}` }, 0)
    await purser.knex('secret').where({ path: 'prod/rotated' }).update({ rotator: 'webhook' })
    before = await lab.get()
    await purser.stop()

    const putBack = await place.keep()
    purser = await place.start(purser.admin)
    after = await lab.get()
    await put('prod/a', { password: 'written in the lost time' }, 1)
    await purser.asAdmin('POST', '/api/v1/secrets/prod/b:destroy', { versions: [1] })
    lateToken = (await lab.get({ sub: 'shop' }, { x509: undefined, jwts: [], secrets: ['prod/a'] })).accessToken
    await purser.stop()
    await putBack()
  })
  afterAll(() => place.remove())

  it('while a newer head is known outside, a start issues nothing', async () => {
    purser = await place.start(purser.admin)
    expect((await purser.call('GET', '/readyz')).status).toBe(503)
    const { status, body } = await lab.ask({}, {})
    expect([status >= 400, body['x509']]).toEqual([true, undefined])
    const proof = { kind: 'jwt', token: await lab.issuer.token() }
    expect(await purser.call('POST', '/api/v1/credentials', { proof })).toMatchObject({ status: 503 })
    await purser.stop()
    const findings = await check()
    expect(findings).toContainEqual(expect.objectContaining({ level: 'fail', what: 'no new epoch has begun' }))
  })

  it('a new epoch ends the lost time: tokens and sessions of before and of the lost time are refused', async () => {
    const newEpoch = await run(['log', 'new-epoch', '--reason', 'restored from the backup of 23:00'])
    expect({ code: newEpoch.code, lost: /lost +entries \d+ to \d+/.test(newEpoch.out) }).toEqual({
      code: 0,
      lost: true,
    })
    const earlier = purser.admin
    purser = await place.start()
    expect((await purser.call('GET', '/api/v1/secrets', undefined, { token: earlier })).status).toBe(401)
    for (const token of [before?.accessToken, after?.accessToken, lateToken]) {
      expect((await purser.call('GET', '/api/v1/credentials/self', undefined, { token: token ?? '' })).status).toBe(401)
    }
    for (const credentials of [before, after]) {
      expect(await introspect(credentials?.jwt ?? '')).toBe(false)
      expect(await introspect(credentials?.accessToken ?? '')).toBe(false)
    }
    const proof = { kind: 'jwt', token: await lab.issuer.token() }
    expect((await purser.call('POST', '/api/v1/credentials', { proof })).status).toBe(503)
  })

  it('backup check lists what needs attention', async () => {
    await purser.stop()
    const attempts: unknown[] = []
    const findings = await check({
      works: async ({ kind, path, data }) => {
        attempts.push([kind, path, data])
        return false
      },
    })
    expect(attempts).toEqual([['webhook', 'prod/rotated', { password: `${canary}-rotated` }]])
    const findingsOf = (name: string) => findings.filter((finding) => finding.check === name)
    expect(findingsOf('epoch').map((finding) => finding.level)).toEqual(['ok', 'ok', 'note'])
    expect(findingsOf('values')).toEqual([
      expect.objectContaining({ level: 'ok', what: '3 live values decrypt with this root key' }),
    ])
    expect(findingsOf('rotators')).toEqual([
      expect.objectContaining({ level: 'fail', what: expect.stringContaining('prod/rotated') }),
    ])
    expect(findingsOf('versions')).toEqual([
      expect.objectContaining({ level: 'note', what: expect.stringContaining('prod/a, prod/b') }),
    ])
    expect(JSON.stringify(findings)).not.toContain('hunter2')

    const { code, out } = await run(['backup', 'check'])
    expect(code).toBe(0)
    expect(out).toMatch(/^skipped +rotators +1 live values were not tried at their target: prod\/rotated \(webhook\)$/m)
    expect(out).toMatch(/^note +epoch +issuing is closed/m)
    expect((await run(['backup', 'check', '--since', 'yesterday'])).code).toBe(2)
    const old = await run(['backup', 'check', '--since', '2099-01-01T00:00:00Z', '-o', 'json'])
    expect(old.out).not.toContain('"versions"')
  })

  it('after the review it continues: a lost version number is used again, and a destroyed value is back', async () => {
    purser = await place.start(purser.admin)
    await purser.asAdmin('POST', '/api/v1/log:open', undefined, { 'purser-reason': 'reviewed' })
    const read = async (path: string): Promise<unknown> =>
      (await purser.asAdmin('GET', `/api/v1/secrets/${path}`, undefined, { 'purser-reason': 'drill' })).body['data']
    expect(await read('prod/a')).toEqual({ password: `${canary}-a` })
    expect(await read('prod/b')).toEqual({ password: `${canary}-b` })
    expect((await put('prod/a', { password: 'again' }, 1)).body['version']).toBe(2)
    const proof = { kind: 'jwt', token: await lab.issuer.token({ sub: 'shop' }) }
    const { status, body } = await purser.call('POST', '/api/v1/credentials', { proof, secrets: ['prod/a'] })
    expect([status, body['secrets']]).toEqual([200, [expect.objectContaining({ data: { password: 'again' } })]])
  })

  it('a value in a changed row is named', async () => {
    const [row]: { id: string }[] = await purser.knex('secret').where({ path: 'prod/b' }).select('id')
    await purser
      .knex('secret_version')
      .where({ secret_id: row?.id })
      .update({ ciphertext: Buffer.alloc(64, 1) })
    await purser.stop()
    const { code, out } = await run(['backup', 'check'])
    expect(code).toBe(1)
    expect(out).toMatch(/^FAIL +values +1 do not decrypt: prod\/b$/m)
    // A limit would refuse most guesses, but each one is checked here.
    purser = await place.start(purser.admin, { PURSER_LIMIT_ADDRESS_PER_SECOND: '100000' })
  })

  it('no column of the whole database is a bearer token, in any encoding, and none holds a value', async () => {
    const { rows: tables } = await purser.knex.raw<{ rows: { name: string }[] }>(
      `select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`,
    )
    const words = new Set<string>()
    let whole = ''
    for (const { name } of tables) {
      for (const row of await purser.knex(name)) {
        for (const value of Object.values(row as object)) for (const form of formsOf(value)) words.add(form)
      }
    }
    whole = [...words].join('\n')
    expect(words.size).toBeGreaterThan(100)
    expect(whole).not.toContain('hunter2')
    expect(whole).not.toContain(Buffer.from('hunter2-correct').toString('base64').slice(0, 18))
    const key = place.env()['PURSER_ROOT_KEY'] ?? ''
    expect(whole).not.toContain(key)

    // Values of a token's length are tried as each kind of token, too.
    const tokens = [...words].flatMap((word) => [
      word,
      ...(/^[\w+/=-]{43,64}$/.test(word) ? kinds.map((kind) => `purser_${kind}_${word}`) : []),
    ])
    const usable = [...new Set(tokens)].filter((token) => /^[!-~]{8,200}$/.test(token))
    expect(usable.length).toBeGreaterThan(200)
    const valuesByVersion = new Map<number, number>()
    for (const token of usable) {
      const { status } = await purser.call('GET', '/api/v1/credentials/self', undefined, { token })
      valuesByVersion.set(status, (valuesByVersion.get(status) ?? 0) + 1)
    }
    expect([...valuesByVersion.keys()].filter((status) => ![400, 401].includes(status))).toEqual([])
    expect(valuesByVersion.get(401)).toBeGreaterThan(200)
    await purser.stop()
  })
})

const kinds = ['at', 'api', 'join', 'boot']

/** A column as text, with the usual encodings of bytes. */
function formsOf(value: unknown): string[] {
  if (Buffer.isBuffer(value))
    return (['hex', 'base64', 'base64url', 'latin1'] as const).map((form) => value.toString(form))
  if (typeof value === 'string') return [value]
  if (value instanceof Date || value === null) return []
  return [JSON.stringify(value)]
}
