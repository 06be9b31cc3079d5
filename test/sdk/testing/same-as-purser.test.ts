/**
 * One script of requests to the real server over TLS and to a Purser in memory: the answers are equal, except for
 * random values.
 */
import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connect } from '@purser/sdk'
import { type TestWorkload, createTestPurser } from '@purser/sdk/testing'
import { createCsr } from '../../../sdk/src/certificates/csr.ts'
import { createParts } from '../../../sdk/src/testing/parts.ts'
import { createServer } from '../../../sdk/src/testing/server.ts'
import { type Issuer, createIssuer } from '../../support/issuer.ts'
import { type TestPurser, audience, startPurser } from '../../support/purser.ts'
import { ecPair } from '../../support/test-ca.ts'
import { failing } from '../failing.ts'

type Client = { key: string; cert: string }
type Ask = { method?: 'GET' | 'POST' | 'DELETE'; path?: string; body?: unknown; client?: Client; token?: string }
type Answer = { status: number; type: string; body: Record<string, unknown>; text: string }

type World = {
  audience: string
  ask(ask: Ask): Promise<Answer>
  proof(claims?: Record<string, unknown>): Promise<string>
  joinToken(uses: number): Promise<string>
  revoke(credential: { serialNumber: string } | { jti: string } | { session: string }): Promise<void>
  removeWeb(): Promise<void>
  aMinuteLater(): Promise<void>
}

let purser: TestPurser
let issuer: Issuer

const web: Required<TestWorkload> = {
  spiffeId: 'spiffe://example.org/lab/web',
  dnsNames: ['web.lab'],
  audiences: ['payments'],
  secretPaths: ['prod/**'],
  databaseNames: ['nowhere'],
  lifetimeSeconds: 3600,
  jwtLifetimeSeconds: 300,
  sessionSeconds: 7200,
}
const joined = { ...web, spiffeId: 'spiffe://example.org/join/joined' }

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  const keys = { jwks: { keys: [issuer.jwk] } }
  await purser.asAdmin('POST', '/api/v1/attestors', {
    name: 'lab',
    kind: 'oidc',
    issuer: issuer.issuer,
    audience,
    keys,
  })
  const entry = ({ spiffeId, ...grants }: Required<TestWorkload>) => ({
    spiffeId,
    grants: {
      x509: { dnsNames: grants.dnsNames, maxLifetimeSeconds: grants.lifetimeSeconds },
      jwt: { audiences: grants.audiences, maxLifetimeSeconds: grants.jwtLifetimeSeconds },
      databases: grants.databaseNames,
    },
    maxSessionSeconds: grants.sessionSeconds,
  })
  const match = { 'oidc:sub': 'web' }
  await purser.asAdmin('POST', '/api/v1/workloads', { name: 'web', attestor: 'lab', match, ...entry(web) })
  await purser.asAdmin('POST', '/api/v1/workloads', { name: 'joined', attestor: 'join', ...entry(joined) })
})
afterAll(() => purser.stop())

const realWorld = (): World => ({
  audience,
  async ask({ method = 'POST', path = '/api/v1/credentials', body, client, token }) {
    const answer = await purser.call(method, path, body, { ...(client && { client }), ...(token && { token }) })
    return { ...answer, type: answer.headers.get('content-type') ?? '' }
  },
  proof: (claims) => issuer.token(claims),
  async joinToken(uses) {
    return String((await purser.asAdmin('POST', '/api/v1/join-tokens', { workload: 'joined', uses })).body.token)
  },
  async revoke(credential) {
    await purser.asAdmin('POST', '/api/v1/revocations', credential)
  },
  async removeWeb() {
    const { revision } = (await purser.asAdmin('GET', '/api/v1/workloads/web')).body
    await purser.asAdmin('DELETE', '/api/v1/workloads/web', undefined, { 'if-match': `"${String(revision)}"` })
  },
  async aMinuteLater() {
    await purser.knex('claim').update({ claimed_at: purser.knex.raw(`claimed_at - interval '61 seconds'`) })
  },
})

function inMemory(): World {
  let later = 0
  const parts = createParts('example.org', () => new Date(Date.now() + later))
  const server = createServer(parts)
  parts.entries.put(web)
  parts.entries.put(joined)
  return {
    audience: parts.issuer,
    async ask({ method = 'POST', path = '/api/v1/credentials', body, client, token }) {
      const { answer } = server.handle({
        method,
        path,
        maxBytes: 0,
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(client && { as: client }),
        ...(token !== undefined && { bearer: token }),
      })
      const type = answer.headers['content-type'] ?? ''
      return { ...answer, type, body: type.endsWith('json') ? (JSON.parse(answer.text) as Answer['body']) : {} }
    },
    proof: async (claims = {}) => parts.attestation.proofFor('lab-web', { jti: `${Math.random()}`, ...claims }),
    joinToken: async (uses) => parts.attestation.joinToken(joined.spiffeId, { uses, lifetimeSeconds: 600 }),
    revoke: async (credential) => parts.sessions.revoke(credential),
    removeWeb: async () => void parts.entries.remove(web.spiffeId),
    async aMinuteLater() {
      later += 61_000
    },
  }
}

/** Members of which only the type is equal. */
const kindsOnly = new Set(['entry', 'nonce', 'proof', 'title', 'name', 'detail', 'attestor', 'version', 'selectors'])
const numbersOnly = new Set(['index', 'exp', 'iat', 'nbf', 'spiffe_sequence'])
/** Lists of random length. */
const sets = new Set(['keys', 'consistency', 'logKeys'])

/** The whole value, with random parts replaced by their form. */
function formOf(value: unknown, name = ''): unknown {
  if (kindsOnly.has(name) || (numbersOnly.has(name) && typeof value === 'number')) return typeof value
  if (typeof value === 'string') return name === 'workload' ? typeof value : formOfText(value)
  if (Array.isArray(value)) {
    const forms = value.map((item) => formOf(item, ''))
    if (!sets.has(name)) return forms
    const texts = [...new Set(forms.map((form) => JSON.stringify(form)))].toSorted()
    // Only the real one has RSA keys.
    return texts.filter((text) => !text.includes('RS256'))
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, formOf(member, key)]))
}

const formOfText = (text: string): string =>
  text
    .replaceAll(/-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----\n/g, '<$1>')
    .replaceAll(/\b[0-9a-f]{32}\b|(?<=_)[0-9a-f]{32}\b/g, '<hex>')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z/g, '<time>')
    .replaceAll(/(?<=purser_at_)[\w-]{43}/g, '<secret>')
    .replaceAll(/\bey[\w-]+\.[\w-]+\.[\w-]{86}/g, '<jwt>')
    .replaceAll(/https:\/\/purser\.(test|example\.org)/g, '<issuer>')
    .replaceAll(/\+[0-9a-f]{8}\+[\w+/=]+$/g, '<vkey>')
    .replaceAll(/^[\w+/=-]{43,}$/g, '<base64>')

const newRequest = () => {
  const { privateKey } = ecPair()
  return { csr: createCsr(privateKey), key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}
const issued = ({ body, text }: Answer) => {
  const {
    x509,
    jwts = [],
    accessToken,
    session,
  } = body as {
    x509?: { certificateChain: string; serialNumber: string }
    jwts?: { token: string; jti: string }[]
    accessToken?: { token: string }
    session?: { id: string }
  }
  if (!session) throw new Error(text)
  const [jwt] = jwts
  return {
    cert: x509?.certificateChain ?? '',
    serialNumber: x509?.serialNumber ?? '',
    session: session.id,
    jwt: jwt?.token ?? '',
    jti: jwt?.jti ?? '',
    accessToken: accessToken?.token ?? '',
  }
}

/** Each part of the script returns its replies, by the name of the step. */
type Script = (world: World) => Promise<Record<string, Answer>>

const x509 = { kind: 'x509' }
const jwts = [{ audience: ['payments'] }]
const self = '/api/v1/credentials/self'

/** An instance of its own, with every credential. */
async function attest(world: World, claims?: Record<string, unknown>) {
  const request = newRequest()
  const proof = { kind: 'jwt', token: await world.proof(claims) }
  const answer = await world.ask({ body: { proof, x509: { csr: request.csr }, jwts, accessToken: {} } })
  return { answer, ...issued(answer), client: { key: request.key, cert: issued(answer).cert } }
}
const introspect = (world: World, client: Client, token: string): Promise<Answer> =>
  world.ask({ path: '/api/v1/introspect', body: { token }, client })

const scripts: Record<string, Script> = {
  async 'requested parts, and parts that are not granted'(world) {
    const proof = { kind: 'jwt', token: await world.proof() }
    const { csr } = newRequest()
    return {
      everything: (await attest(world)).answer,
      nothing: await world.ask({ body: { proof } }),
      'no names': await world.ask({ body: { proof, x509: { csr, dnsNames: [] } } }),
      'longer than granted': await world.ask({ body: { proof, x509: { csr, lifetimeSeconds: 90_000 } } }),
      'a key made there': await world.ask({ body: { proof, x509: { generateKey: 'EC-P256' } } }),
      'since a head': await world.ask({ body: { proof, receipt: { sinceSize: 1 } } }),
      'another name': await world.ask({ body: { proof, x509: { csr, dnsNames: ['web.lab', 'bank.lab'] } } }),
      'another audience': await world.ask({ body: { proof, jwts: [...jwts, { audience: ['bank'] }] } }),
      'too short': await world.ask({ body: { proof, x509: { csr, lifetimeSeconds: 1 } } }),
      'no request': await world.ask({ body: { proof, x509: { csr: 'no request' } } }),
      secrets: await world.ask({ body: { proof, secrets: ['a'] } }),
      'another database': await world.ask({ body: { proof, databases: ['nowhere', 'orders'] } }),
      'a database that there is not': await world.ask({ body: { proof, databases: ['nowhere'] } }),
      'another entry': await world.ask({ body: { proof, workload: 'other' } }),
      'no proof': await world.ask({ body: { x509: { csr } } }),
      'no such path': await world.ask({ method: 'GET', path: '/api/v1/nothing' }),
    }
  },

  async 'proofs that prove nothing'(world) {
    const ask = async (proof: object): Promise<Answer> =>
      world.ask({ body: { proof, x509: { csr: newRequest().csr } } })
    const jwt = async (claims: Record<string, unknown>) => ask({ kind: 'jwt', token: await world.proof(claims) })
    return {
      'of nobody': await jwt({ sub: 'nobody' }),
      'of another audience': await jwt({ aud: 'https://vault.example' }),
      'that is over': await jwt({ iat: 1_000, exp: 2_000 }),
      'that is none': await ask({ kind: 'jwt', token: 'none' }),
      'of no kind': await ask({ kind: 'word', token: 'none' }),
      'without a certificate': await ask(x509),
      'of a join token that there is not': await ask({ kind: 'join-token', token: `purser_join_${'A'.repeat(43)}` }),
    }
  },

  async 'leases that there are not'(world) {
    const { client } = await attest(world)
    const path = `/api/v1/leases/ls_${'0'.repeat(32)}`
    return {
      renewed: await world.ask({ path: `${path}:renew`, client }),
      'given up': await world.ask({ path: `${path}:revoke`, client }),
      'without a credential': await world.ask({ path: `${path}:renew` }),
    }
  },

  async renewal(world) {
    const first = await attest(world)
    const second = newRequest()
    const renew = { body: { proof: x509, x509: { csr: second.csr }, jwts }, client: first.client }
    const renewed = await world.ask(renew)
    const again = await world.ask(renew)
    const next = { key: second.key, cert: issued(renewed).cert }
    const more = await world.ask({ body: { proof: x509, jwts, accessToken: {} }, client: next })
    expect(issued(renewed).session).toBe(first.session)
    expect(issued(again).serialNumber).not.toBe(issued(renewed).serialNumber)
    return {
      renewed,
      again,
      'no certificate asked for': more,
      'a spent one, and no certificate asked for': await world.ask({
        body: { proof: x509, jwts },
        client: first.client,
      }),
      'who by certificate': await world.ask({ method: 'GET', path: self, client: next }),
      'who by token': await world.ask({ method: 'GET', path: self, token: issued(more).accessToken }),
      'who by nothing': await world.ask({ method: 'GET', path: self }),
      'a JWT': await introspect(world, next, first.jwt),
      'an access token': await introspect(world, next, issued(more).accessToken),
      'no token': await introspect(world, next, 'nothing'),
      'without a credential': await world.ask({ path: '/api/v1/introspect', body: { token: first.jwt } }),
    }
  },

  async 'a serial number that was spent'(world) {
    const first = await attest(world)
    const other = await attest(world)
    const renew = (client: Client) => world.ask({ body: { proof: x509, x509: { csr: newRequest().csr } }, client })
    const renewed = await renew(first.client)
    const thief = await renew(first.client)
    return {
      renewed,
      thief,
      'its session afterwards': await world.ask({ method: 'GET', path: self, client: first.client }),
      'its token afterwards': await world.ask({ method: 'GET', path: self, token: first.accessToken }),
      'its JWT afterwards': await introspect(world, other.client, first.jwt),
      others: await world.ask({ method: 'GET', path: self, client: other.client }),
    }
  },

  async 'a serial number that was spent a minute ago'(world) {
    const first = await attest(world, { jti: 'a-minute-ago' })
    const second = newRequest()
    const renew = { body: { proof: x509, x509: { csr: second.csr } }, client: first.client }
    const renewed = await world.ask(renew)
    await world.aMinuteLater()
    const again = await world.ask(renew)
    const proof = { kind: 'jwt', token: await world.proof({ jti: 'a-minute-ago' }) }
    const back = await world.ask({ body: { proof, x509: { csr: second.csr } } })
    expect(issued(back).session).not.toBe(first.session)
    return { renewed, again, 'its owner is let in as another session': back }
  },

  async revocation(world) {
    const jti = `${Math.random()}`
    const [all, object, other] = [await attest(world, { jti }), await attest(world), await attest(world)]
    await world.revoke({ session: all.session })
    await world.revoke({ serialNumber: object.serialNumber })
    await world.revoke({ jti: object.jti })
    const renew = (client: Client) => world.ask({ body: { proof: x509, x509: { csr: newRequest().csr } }, client })
    return {
      'of a session': await renew(all.client),
      'and its token': await world.ask({ method: 'GET', path: self, token: all.accessToken }),
      'and its JWT': await introspect(world, other.client, all.jwt),
      'and its instance': await world.ask({
        body: { proof: { kind: 'jwt', token: await world.proof({ jti }) }, jwts },
      }),
      'of a certificate': await renew(object.client),
      'but not its token': await world.ask({ method: 'GET', path: self, token: object.accessToken }),
      'of a JWT': await introspect(world, other.client, object.jwt),
      others: await renew(other.client),
    }
  },

  async 'join tokens'(world) {
    const token = await world.joinToken(1)
    const [first, second] = [newRequest(), newRequest()]
    const join = (more: object) => world.ask({ body: { proof: { kind: 'join-token', token }, ...more } })
    return {
      'without a key': await join({}),
      joined: await join({ x509: { csr: first.csr, dnsNames: [] } }),
      again: await join({ x509: { csr: first.csr, dnsNames: [] } }),
      'again, for more': await join({ x509: { csr: first.csr, dnsNames: [] }, accessToken: {} }),
      'for another key': await join({ x509: { csr: second.csr, dnsNames: [] } }),
    }
  },

  async 'public documents'(world) {
    const { client } = await attest(world)
    const get = (path: string) => world.ask({ method: 'GET', path })
    const keyId = /\/crl\/(ca-[0-9a-f]{32})/.exec(
      Buffer.from(new X509Certificate(client.cert).raw).toString('latin1'),
    )?.[1]
    return {
      server: await get('/api/v1/server'),
      bundle: await get('/bundle'),
      keys: await get('/keys'),
      ca: await get('/ca.pem'),
      'no CRL': await get(`/crl/ca-${'0'.repeat(32)}`),
      crl: { ...(await get(`/crl/${keyId}`)), text: '' },
    }
  },

  async 'a session that was given up, and an entry that was removed'(world) {
    const [object, two] = [await attest(world), await attest(world)]
    const deletion = await world.ask({ method: 'DELETE', path: self, client: object.client })
    const after = await world.ask({ method: 'GET', path: self, client: object.client })
    await world.removeWeb()
    return {
      deletion,
      after,
      removed: await world.ask({ method: 'GET', path: self, client: two.client }),
      'renewal afterwards': await world.ask({
        body: { proof: x509, x509: { csr: newRequest().csr } },
        client: two.client,
      }),
      'proof afterwards': await world.ask({ body: { proof: { kind: 'jwt', token: await world.proof() } } }),
    }
  },
}

describe('a Purser in memory equals the real one', () => {
  const worlds: { real?: World; memory?: World } = {}
  test.each(Object.entries(scripts))('%s', async (_, script) => {
    worlds.real ??= realWorld()
    worlds.memory ??= inMemory()
    const [real, memory] = [await script(worlds.real), await script(worlds.memory)]
    const outcomeOf = ({ status, type, body, text }: Answer) => {
      const form = formOf(type.endsWith('json') ? body : text)
      return { status, type: type.split(';')[0], form }
    }
    const all = (answers: Record<string, Answer>) =>
      Object.fromEntries(Object.entries(answers).map(([step, answer]) => [step, outcomeOf(answer)]))
    expect(all(memory)).toEqual(all(real))
  })
})

test('clients see the same refusals, renewals and outages', async () => {
  const memory = createTestPurser()
  const ca = { pem: purser.roots }
  const real = { addr: purser.url, ca, logKey: purser.vkeys, env: {}, proof: () => issuer.token({ sub: 'joined-too' }) }
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'web-too',
    attestor: 'lab',
    match: { 'oidc:sub': 'joined-too' },
    spiffeId: 'spiffe://example.org/lab/web-too',
    grants: {
      x509: { dnsNames: [], maxLifetimeSeconds: 3600 },
      jwt: { audiences: ['payments'], maxLifetimeSeconds: 300 },
    },
    maxSessionSeconds: 7200,
  })
  const entry = { ...web, spiffeId: 'spiffe://example.org/lab/web-too', dnsNames: [] }
  const clients = [await connect(real), await memory.connect(entry)]
  const clientViews = await Promise.all(
    clients.map(async (client) => {
      const by: unknown[] = []
      client.on('renewed', (event) => by.push(event.by))
      const before = client.x509.serialNumber
      await client.jwt('payments')
      await client.renew()
      const renewed = client.x509.serialNumber !== before
      const { code, status, message } = await failing(client.jwt('bank'))
      return {
        by,
        renewed,
        code,
        status,
        message: message.replace(/req_[0-9a-f]{32}/, 'req_'),
        id: client.spiffeId,
      }
    }),
  )
  expect(clientViews[1]).toEqual(clientViews[0])
  expect(clientViews[1]).toMatchObject({ by: ['certificate', 'certificate'], renewed: true, code: 'not_granted' })

  memory.away()
  await purser.stop()
  const absences = await Promise.all(
    clients.map(async (client) => {
      const events: string[] = []
      for (const name of ['disconnected', 'expiring', 'expired', 'renewed'] as const)
        client.on(name, () => events.push(name))
      const { code, status } = await failing(client.renew())
      await client.jwt('payments')
      client.close()
      return { code, status, events, id: client.toJSON().spiffeId }
    }),
  )
  expect(absences[1]).toEqual(absences[0])
  expect(absences[1]).toMatchObject({ code: 'unreachable', events: ['disconnected'] })
})
