/** Logins with passkeys, by a fake authenticator: what gives a session at two replicas, and every response that must not. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entryFor } from '../support/accounts.ts'
import type { Algorithm, Twist } from '../support/fake-authenticator.ts'
import { anyAddress } from '../support/logins.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type Enrolled, challengeOf, passkeyLogin, present, withPasskey } from '../support/passkeys.ts'
import { type Answer, type TestPurser, startPurser, startReplica } from '../support/purser.ts'

let purser: TestPurser
let replica: TestPurser
let ask: Ask
let ada: Enrolled
let now = Date.now()
beforeAll(async () => {
  const clock = { now: () => new Date(now) }
  purser = await startPurser({ store: 'postgres', env: anyAddress, ...clock })
  replica = await startReplica(purser, { env: anyAddress, ...clock })
  ask = createAsk(purser)
  ada = await withPasskey(purser, ask, 'ada')
}, 60_000)
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

/** The reply says nothing, nothing is created, and the log has the cause. */
async function isRefused(answer: Answer, cause: string): Promise<void> {
  expect(fault(answer)).toBe('401 unauthenticated')
  expect(answer.body).not.toHaveProperty('detail')
  expect(await entryFor(purser, answer)).toMatchObject({
    action: 'operator.login',
    outcome: 'refused',
    detail: { cause },
  })
}

const statuses = (answers: Answer[]): number[] => answers.map(({ status }) => status).toSorted((a, b) => a - b)

describe('a passkey', () => {
  it('logs in without name, password or code, at any replica', async () => {
    for (const server of [purser, replica]) {
      const answer = await passkeyLogin(server, ada.authenticator)
      expect(answer.body).toMatchObject({ operator: 'ada', role: 'operator', login: true })
      const token = String(answer.body['token'])
      const self = await server.call('GET', '/api/v1/credentials/self', undefined, { token })
      expect(self.body).toMatchObject({ operator: 'ada', login: true })
      expect(await entryFor(purser, answer)).toMatchObject({
        outcome: 'granted',
        actor: { kind: 'operator', operator: 'ada' },
        detail: { passkey: ada.passkey, credential: expect.stringMatching(/^[0-9a-f]{64}$/) },
      })
    }
    const { body } = await ask('listPasskeys', { name: 'ada' })
    expect(body['items']).toMatchObject([{ id: ada.passkey, label: 'laptop', lastUsedAt: expect.any(String) }])
    expect(JSON.stringify(await readLog(purser))).not.toContain(ada.authenticator.id)
  })

  it('logs a browser in with the same cookie as a password', async () => {
    const { publicKey, verifier } = await challengeOf(purser)
    const answer = await present(purser, { verifier, cookie: true, credential: ada.authenticator.get(publicKey) })
    expect(answer.status, answer.text).toBe(201)
    expect(answer.body).not.toHaveProperty('token')
    expect(answer.headers.get('set-cookie')).toMatch(/^__Host-purser=purser_api_[\w-]{43}; Path=\/; Secure; HttpOnly/)
  })

  it.each<Algorithm>(['EdDSA', 'RS256'])('may have a key for %s', async (algorithm) => {
    const { authenticator } = await withPasskey(purser, ask, algorithm.toLowerCase(), { algorithm })
    expect((await passkeyLogin(purser, authenticator)).status).toBe(201)
  })

  it('without a counter logs in again and again', async () => {
    const { authenticator } = await withPasskey(purser, ask, 'synced')
    for (let n = 0; n < 3; n++) expect((await passkeyLogin(purser, authenticator, { counter: 0 })).status).toBe(201)
  })
})

describe('the options', () => {
  it('name no credential, and are not the same twice', async () => {
    const [first, second] = [await challengeOf(purser), await challengeOf(purser)]
    expect(first.publicKey).toEqual({
      challenge: expect.any(String),
      rpId: 'purser.example.org',
      timeout: 300_000,
      allowCredentials: [],
      userVerification: 'required',
    })
    expect(first.publicKey.challenge).not.toBe(second.publicKey.challenge)
  })
})

describe('an assertion is refused', () => {
  it.each<[string, Twist, string]>([
    ['of another origin', { origin: 'https://evil.example' }, 'the response is for another origin'],
    ['of another port', { origin: 'https://purser.example.org:8444' }, 'the response is for another origin'],
    ['of plain HTTP', { origin: 'http://purser.example.org' }, 'the response is for another origin'],
    ['of a page within another page', { crossOrigin: true }, 'the response is of a page within another page'],
    ['for another relying party', { rpId: 'example.org' }, 'the response is for another relying party'],
    ['of another ceremony', { type: 'webauthn.create' }, 'the response is of another ceremony'],
    ['without a verified user', { flags: 0x01 }, 'the authenticator did not verify its user'],
    ['without a user', { flags: 0x00 }, 'the authenticator did not verify its user'],
    ['without a present user', { flags: 0x04 }, 'the assertion is malformed'],
    ['with another signature', { signature: randomBytes(70) }, 'the assertion is malformed'],
    ['with a challenge of its own', { challenge: randomBytes(32).toString('base64url') }, 'the challenge is not of this login, or has ended'], // prettier-ignore
  ])('%s', async (_, twist, cause) => {
    await isRefused(await passkeyLogin(purser, ada.authenticator, twist), cause)
  })

  it('when its key is another one', async () => {
    const other = await withPasskey(purser, ask, 'other-key')
    const { publicKey, verifier } = await challengeOf(purser)
    const { id, userHandle } = ada.authenticator.get(publicKey)
    const forged = { ...other.authenticator.get(publicKey), id, userHandle }
    await isRefused(await present(purser, { verifier, credential: forged }), 'wrong signature')
  })

  it('when its passkey is unknown, and when it is of another operator', async () => {
    const { authenticator } = await withPasskey(purser, ask, 'eve')
    const { publicKey, verifier } = await challengeOf(purser)
    const assertion = authenticator.get(publicKey)
    const unknown = { ...assertion, id: randomBytes(32).toString('base64url') }
    await isRefused(await present(purser, { verifier, credential: unknown }), 'no such passkey')
    const { userHandle } = ada.authenticator.get(publicKey)
    const foreign = { ...assertion, userHandle }
    await isRefused(await present(purser, { verifier, credential: foreign }), 'the passkey is of another operator')
  })

  it('when it is presented again, also at once at two replicas', async () => {
    const { publicKey, verifier } = await challengeOf(purser)
    const login = { verifier, credential: ada.authenticator.get(publicKey) }
    const replies = await Promise.all([1, 2, 3, 4].map((n) => present(n % 2 ? purser : replica, login)))
    expect(statuses(replies)).toEqual([201, 401, 401, 401])
    await isRefused(await present(replica, login), 'the signature counter went back')
    const repeat = { verifier, credential: ada.authenticator.get(publicKey) }
    await isRefused(await present(replica, repeat), 'the challenge was used before')
  })

  it('with the challenge of another client', async () => {
    const mine = await challengeOf(purser)
    const stolen = { verifier: (await challengeOf(purser)).verifier, credential: ada.authenticator.get(mine.publicKey) }
    await isRefused(await present(purser, stolen), 'the challenge is not of this login, or has ended')
  })

  it('after five minutes', async () => {
    const { publicKey, verifier } = await challengeOf(purser)
    now += 300_000
    const login = { verifier, credential: ada.authenticator.get(publicKey) }
    await isRefused(await present(purser, login), 'the challenge is not of this login, or has ended')
  })

  it('when its counter goes back, or stays', async () => {
    const { authenticator } = await withPasskey(purser, ask, 'cloned')
    expect((await passkeyLogin(purser, authenticator, { counter: 7 })).status).toBe(201)
    for (const counter of [0, 6, 7])
      await isRefused(await passkeyLogin(purser, authenticator, { counter }), 'the signature counter went back')
    expect((await passkeyLogin(replica, authenticator, { counter: 8 })).status).toBe(201)
  })

  it('as other text and as another size', async () => {
    const { publicKey, verifier } = await challengeOf(purser)
    const right = ada.authenticator.get(publicKey)
    for (const credential of [
      { ...right, signature: '***' },
      { ...right, id: '' },
      { ...right, clientDataJSON: `${right.clientDataJSON}==` },
    ])
      expect(fault(await present(purser, { verifier, credential }))).toMatch(/^400 invalid_request \/credential\//)
    const large = { verifier, credential: { ...right, signature: 'A'.repeat(1_000_000) } }
    expect(fault(await present(purser, large))).toBe('413 too_large')
    const garbage = { ...right, clientDataJSON: 'AAAA' }
    await isRefused(await present(purser, { verifier, credential: garbage }), 'the client data is no JSON object')
    const short = { ...right, authenticatorData: 'AAAA' }
    await isRefused(await present(purser, { verifier, credential: short }), 'the authenticator data is too short')
  })

  it('of a page of another origin, whatever it sends', async () => {
    const { publicKey, verifier } = await challengeOf(purser)
    const body = { verifier, cookie: true, credential: ada.authenticator.get(publicKey) }
    const headers = { origin: 'https://evil.example' }
    const answer = await purser.call('POST', '/api/v1/sessions:passkey', body, { headers })
    expect(fault(answer)).toBe('403 forbidden')
    expect(answer.headers.get('set-cookie')).toBeNull()
  })

  it('ten times a minute from one address, which delays no password', async () => {
    const from = '203.0.113.9'
    const answers: number[] = []
    for (let n = 0; n < 12; n++)
      answers.push((await passkeyLogin(purser, ada.authenticator, { origin: 'https://evil.example' }, from)).status)
    expect(answers).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429])
    expect((await passkeyLogin(purser, ada.authenticator)).status).toBe(201)
  })
})

describe('passkeys are off', () => {
  it.each([
    ['with a listener of operators and no URL of it', { PURSER_ADMIN_LISTEN: '127.0.0.1:0' }],
    ['without a host name', { PURSER_PUBLIC_URL: 'https://127.0.0.1:8443' }],
  ])(
    '%s',
    async (_, env) => {
      const plain = await startPurser({ env })
      const url = plain.adminUrl ?? plain.url
      const post = (path: string, body: object): Promise<Response> =>
        fetch(url + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        })
      const options = await post('/api/v1/sessions:passkey-options', { challenge: 'A'.repeat(43) })
      expect(options.status).toBe(404)
      expect(await options.json()).toMatchObject({ detail: expect.stringContaining('PURSER_OPERATORS_URL') })
      const credential = ada.authenticator.get({ challenge: 'AA', rpId: '127.0.0.1' })
      expect((await post('/api/v1/sessions:passkey', { verifier: 'A'.repeat(43), credential })).status).toBe(401)
      await plain.stop()
    },
    40_000,
  )
})
