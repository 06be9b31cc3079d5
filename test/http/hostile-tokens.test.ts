/** Tokens that are altered, of another kind, or in the wrong place. */
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entriesOf } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type RawAnswer, ask } from '../support/raw-http.ts'

let purser: TestPurser
let issuer: Issuer
let admin: string
/** A valid token of each kind. */
const live = { access: '', svid: '', join: '', boot: '' }

beforeAll(async () => {
  const many = '100000'
  purser = await startPurser({
    store: 'postgres',
    env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: many, PURSER_LIMIT_ADDRESS_PER_SECOND: many },
  })
  admin = purser.admin
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  const { body } = await purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token: await issuer.token() },
    jwts: [{ audience: ['payments'] }],
    accessToken: {},
  })
  const issued = body as { jwts?: { token: string }[]; accessToken?: { token: string } }
  live.svid = issued.jwts?.[0]?.token ?? ''
  live.access = issued.accessToken?.token ?? ''
  const agent = { name: 'agent', attestor: 'join', spiffeId: 'spiffe://example.org/join/agent', grants: { x509: {} } }
  await purser.asAdmin('POST', '/api/v1/workloads', agent)
  live.join = String((await purser.asAdmin('POST', '/api/v1/join-tokens', { workload: 'agent' })).body.token)
  live.boot = (await readFile(join(purser.dataDir, 'bootstrap-token'), 'utf8')).trim()
})
afterAll(() => purser.stop())

const list = (...headers: string[]): Promise<RawAnswer> => ask(purser.url, 'GET /api/v1/workloads HTTP/1.1', headers)
const bearing = (token: string): Promise<RawAnswer> => list(`Authorization: Bearer ${token}`)

/** Refused with one of the codes, recorded once as an anonymous request, and not echoed. */
async function turnedAway(answer: RawAnswer, ...codes: string[]): Promise<void> {
  expect(codes).toContain(answer.code)
  expect(answer.text).not.toContain('purser_')
  const recorded = await entriesOf(purser, answer.requestId)
  expect(recorded).toMatchObject([{ outcome: 'refused', reason: answer.code, actor: { kind: 'anonymous' } }])
  expect(JSON.stringify(recorded)).not.toContain('purser_')
}

describe('a token with one difference', () => {
  it('is accepted unchanged', async () => {
    expect(await bearing(admin)).toMatchObject({ status: 200 })
  })

  it('is refused at any shorter length', async () => {
    for (let length = 1; length < admin.length; length++) {
      expect(await bearing(admin.slice(0, length)), String(length)).toMatchObject({
        status: 401,
        code: 'unauthenticated',
      })
    }
  })

  it.each(['x', '=', '==', '.', '~', '/', '-', 'A'.repeat(43), 'A'.repeat(8_000)])(
    'is refused with more characters: %s',
    async (tail) => {
      await turnedAway(await bearing(admin + tail), 'unauthenticated')
    },
  )

  it('is refused with the case of one letter changed', async () => {
    for (const [at, letter] of admin.split('').entries()) {
      const flipped = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()
      if (flipped === letter) continue
      expect(await bearing(admin.slice(0, at) + flipped + admin.slice(at + 1)), String(at)).toMatchObject({
        status: 401,
      })
    }
  })

  it('is refused with other bits in its last letter that decode to the same bytes', async () => {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = letters.indexOf(admin.at(-1) ?? '')
    for (const spare of [1, 2, 3]) {
      const other = letters[last ^ spare]
      expect(Buffer.from(admin.slice(11, -1) + other, 'base64url')).toEqual(Buffer.from(admin.slice(11), 'base64url'))
      await turnedAway(await bearing(admin.slice(0, -1) + other), 'unauthenticated')
    }
  })
})

describe('an Authorization header', () => {
  it.each([
    ['in lower case', () => [`Authorization: bearer ${admin}`]],
    ['in capitals', () => [`Authorization: BEARER ${admin}`]],
    ['with a tab', () => [`Authorization: Bearer\t${admin}`]],
    ['with two spaces', () => [`Authorization: Bearer  ${admin}`]],
    ['without a space', () => [`Authorization: Bearer${admin}`]],
    ['of the token alone', () => [`Authorization: ${admin}`]],
    ['of nothing', () => ['Authorization:']],
    ['of the scheme alone', () => ['Authorization: Bearer']],
    ['in quotes', () => [`Authorization: Bearer "${admin}"`]],
    ['with a parameter', () => [`Authorization: Bearer ${admin}; realm=x`]],
    ['of two tokens', () => [`Authorization: Bearer ${admin},Bearer ${admin}`]],
    ['of two tokens and a space', () => [`Authorization: Bearer ${admin} ${admin}`]],
    ['escaped', () => [`Authorization: Bearer ${admin.replaceAll('_', '%5F')}`]],
    ['of another scheme', () => [`Authorization: Basic ${Buffer.from(`admin:${admin}`).toString('base64')}`]],
    ['of a scheme of our own', () => [`Authorization: Token ${admin}`]],
    ['that occurs twice', () => [`Authorization: Bearer ${admin}`, `Authorization: Bearer ${admin}`]],
    ['that occurs twice, once empty', () => ['Authorization:', `Authorization: Bearer ${admin}`]],
    ['that occurs twice, once as Basic', () => ['Authorization: Basic YTpi', `Authorization: Bearer ${admin}`]],
  ])('%s is refused', async (_, headers) => {
    const answer = await list(...headers())
    expect(answer.status).toBe(400)
    await turnedAway(answer, 'bad_authorization')
  })

  it.each([
    ['a cookie', 'Cookie', (token: string) => `token=${token}`],
    ['a header of another product', 'X-Vault-Token', (token: string) => token],
    ['a header of proxies', 'X-Forwarded-Authorization', (token: string) => `Bearer ${token}`],
    ['the proxy’s header', 'Proxy-Authorization', (token: string) => `Bearer ${token}`],
  ])('is not %s', async (_, name, value) => {
    const answer = await list(`${name}: ${value(admin)}`)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="purser"')
    await turnedAway(answer, 'unauthenticated')
  })

  it('is not read from the query or the body', async () => {
    for (const name of ['access_token', 'token', 'authorization']) {
      const answer = await ask(purser.url, `GET /api/v1/workloads?${name}=${admin} HTTP/1.1`)
      await turnedAway(answer, 'invalid_request')
    }
    const body = JSON.stringify({ access_token: admin })
    const answer = await ask(
      purser.url,
      'POST /api/v1/workloads HTTP/1.1',
      ['Content-Type: application/json', `Content-Length: ${body.length}`],
      body,
    )
    await turnedAway(answer, 'invalid_request')
  })
})

describe('a credential of another kind', () => {
  it.each([
    ['an access token', () => live.access, 'token_type'],
    ['a JWT-SVID of Purser', () => live.svid, 'unauthenticated'],
    ['a join token', () => live.join, 'token_type'],
    ['a bootstrap token', () => live.boot, 'token_type'],
  ])('is refused on operator routes: %s', async (_, token, code) => {
    for (const line of ['GET /api/v1/workloads', 'GET /api/v1/tokens', 'GET /metrics']) {
      const answer = await ask(purser.url, `${line} HTTP/1.1`, [`Authorization: Bearer ${token()}`])
      expect(answer.status).toBe(401)
      await turnedAway(answer, code)
    }
  })

  it('ends no session: only its own access token or certificate does', async () => {
    for (const token of [admin, live.svid, live.join, live.boot]) {
      const answer = await ask(purser.url, 'DELETE /api/v1/credentials/self HTTP/1.1', [
        `Authorization: Bearer ${token}`,
      ])
      expect([401, 403]).toContain(answer.status)
    }
    expect(await purser.call('GET', '/api/v1/credentials/self', undefined, { token: live.access })).toMatchObject({
      status: 200,
    })
  })

  it('creates no admin token: only the bootstrap token does, until its admin token is used', async () => {
    for (const token of [admin, live.access, live.join, live.boot]) {
      const answer = await ask(purser.url, 'POST /api/v1/bootstrap HTTP/1.1', [`Authorization: Bearer ${token}`])
      expect(answer.status).toBe(401)
      expect(answer.text).not.toContain('purser_')
    }
  })

  it('is no proof', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const x509 = { csr: createCsr(privateKey) }
    const proofs = [
      ...[live.svid, admin, live.access, live.join].map((token) => ({ kind: 'jwt', token })),
      ...[live.svid, admin, live.access, live.boot, await issuer.token()].map((token) => ({
        kind: 'join-token',
        token,
      })),
    ]
    for (const proof of proofs) {
      const answer = await purser.call('POST', '/api/v1/credentials', { proof, x509 })
      expect([400, 401]).toContain(answer.status)
      expect(['invalid_request', 'attestation_failed']).toContain(answer.body.code)
      expect(answer.text).not.toContain(proof.token)
    }
  })
})

describe('the content of a stolen dump', () => {
  it('contains no usable token: every column is refused, in any encoding', async () => {
    const tables = [
      'api_token',
      'access_token',
      'bootstrap_token',
      'join_token',
      'session',
      'signing_key',
      'keyring_key',
    ]
    const encodings = new Set<string>()
    for (const table of tables) {
      const rows: Record<string, unknown>[] = await purser.knex(table).select('*')
      expect(rows.length, table).toBeGreaterThan(0)
      for (const value of rows.flatMap((row) => Object.values(row))) {
        if (typeof value === 'string') encodings.add(value)
        if (!Buffer.isBuffer(value)) continue
        for (const encoding of ['hex', 'base64', 'base64url'] as const) encodings.add(value.toString(encoding))
      }
    }
    const texts = [...encodings].filter((text) => /^[\w.~+/=-]{1,4000}$/.test(text))
    expect(texts.length).toBeGreaterThan(20)
    for (const text of texts) {
      for (const token of [text, ...['api', 'at', 'boot'].map((kind) => `purser_${kind}_${text}`)]) {
        const self = await ask(purser.url, 'GET /api/v1/credentials/self HTTP/1.1', [`Authorization: Bearer ${token}`])
        expect(self.status, text).toBe(401)
      }
    }
  })
})
