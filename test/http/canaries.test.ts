/** Secrets that Purser receives or creates appear in no log, metric, refusal or column (SECURITY.md, promise 6). */
import { generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { ask } from '../support/raw-http.ts'

let purser: TestPurser
let issuer: Issuer
/** Each secret by its kind: a part of it that does not occur by chance. */
const secrets = new Map<string, string>()
const replies: string[] = []

/** Of a JWT the signature, of a key the middle of its body, of a token the part after its prefix. */
const telling = (secret: string): string => {
  if (secret.startsWith('eyJ')) return secret.slice(secret.lastIndexOf('.') + 1)
  if (secret.startsWith('-----')) return secret.split('\n')[2] ?? ''
  return secret.replace(/^purser_[a-z]+_|^root key /, '')
}
const keep = (name: string, secret: unknown): string => {
  const part = telling(String(secret))
  expect(part.length, name).toBeGreaterThan(20)
  secrets.set(name, part)
  return String(secret)
}

beforeAll(async () => {
  const many = '100000'
  purser = await startPurser({
    store: 'postgres',
    env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: many, PURSER_LIMIT_ADDRESS_PER_SECOND: many },
  })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  await useEverything()
  for (const secret of [purser.admin, await issuer.token()]) {
    keep(`sent ${secret.slice(0, 6)}`, secret)
    await sendEverywhere(secret)
  }
})
afterAll(() => purser.stop())

async function useEverything(): Promise<void> {
  keep('admin token', purser.admin)
  keep('root key', purser.config.rootKey.kind === 'value' ? `root key ${purser.config.rootKey.value.reveal()}` : '')
  const proof = keep('proof', await issuer.token())
  const issued = await purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token: proof },
    x509: { generateKey: 'EC-P256' },
    jwts: [{ audience: ['payments'] }],
    accessToken: {},
  })
  const { x509, jwts, accessToken } = issued.body as Record<string, Record<string, string>> & {
    jwts: { token: string }[]
  }
  keep('private key', x509?.privateKey)
  keep('JWT-SVID', jwts[0]?.token)
  const access = keep('access token', accessToken?.token)
  const agent = { name: 'agent', attestor: 'join', spiffeId: 'spiffe://example.org/join/agent', grants: { x509: {} } }
  await purser.asAdmin('POST', '/api/v1/workloads', agent)
  const joinToken = await purser.asAdmin('POST', '/api/v1/join-tokens', { workload: 'agent' })
  const joining = keep('join token', joinToken.body.token)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'join-token', token: joining },
    x509: { csr: createCsr(privateKey) },
  })
  await purser.call('GET', '/api/v1/credentials/self', undefined, { token: access })
}

/** Every text of a request, with a secret in it. */
async function sendEverywhere(secret: string): Promise<void> {
  const [line] = secret.split('\n')
  const text = String(line?.startsWith('-----') ? secret.replaceAll('\n', ' ') : line)
  const escaped = encodeURIComponent(text)
  const plain = text.replaceAll(/[^\w.~-]/g, '')
  const headers = [
    'User-Agent',
    'Purser-Reason',
    'Cookie',
    'If-Match',
    'Idempotency-Key',
    'X-Forwarded-For',
    'Referer',
    'Origin',
  ]
  for (const path of [
    `/api/v1/workloads/${plain}`,
    `/api/v1/tokens/${plain}`,
    `/${plain}`,
    `/${escaped}%00`,
    `/api/v1/workloads?cursor=${escaped}`,
    `/api/v1/workloads?${plain}=1`,
    `/api/v1/audit/entries?requestId=${escaped}`,
  ]) {
    for (const method of ['GET', 'DELETE', 'OPTIONS']) {
      const authorized = method === 'DELETE' ? [] : [`Authorization: Bearer ${purser.admin}`]
      replies.push((await ask(purser.url, `${method} ${path} HTTP/1.1`, authorized)).text)
    }
  }
  for (const header of headers) {
    replies.push((await ask(purser.url, 'GET /api/v1/workloads HTTP/1.1', [`${header}: ${text}`])).text)
    const body = JSON.stringify({ proof: { kind: 'jwt', token: 'a.b.c' } })
    const postHeaders = ['Content-Type: application/json', `Content-Length: ${body.length}`, `${header}: ${text}`]
    replies.push((await ask(purser.url, 'POST /api/v1/credentials HTTP/1.1', postHeaders, body)).text)
    // An operator's reason is stored as text.
    const deleteHeaders = [`Authorization: Bearer ${purser.admin}`, 'If-Match: "1"', `${header}: ${text}`]
    replies.push((await ask(purser.url, 'DELETE /api/v1/workloads/nobody HTTP/1.1', deleteHeaders)).text)
  }
  for (const body of [
    { [secret]: 1 },
    { attestor: secret },
    { proof: { kind: 'jwt', token: secret } },
    { proof: { kind: 'jwt', token: `${secret}x` }, workload: secret },
    { proof: { kind: 'join-token', token: secret } },
    { proof: { kind: secret } },
    { proof: { kind: 'jwt', token: await issuer.token() }, x509: { csr: secret } },
    { proof: { kind: 'jwt', token: await issuer.token() }, x509: { generateKey: 'EC-P256', dnsNames: [secret] } },
    { proof: { kind: 'jwt', token: await issuer.token() }, jwts: [{ audience: [secret] }] },
  ]) {
    replies.push((await purser.call('POST', '/api/v1/credentials', body)).text)
  }
  for (const body of [secret, { name: secret }, { name: 'x', attestor: secret, match: { 'oidc:sub': secret } }]) {
    replies.push((await purser.call('POST', '/api/v1/workloads', body, { token: purser.admin })).text)
    replies.push((await purser.call('POST', '/api/v1/attestors', body, { token: purser.admin })).text)
  }
}

describe('secrets', () => {
  it('stay out of the log, the server’s own log, metrics and every refusal', async () => {
    expect(secrets.size).toBe(9)
    expect(replies.length).toBeGreaterThan(100)

    const rows: { body: string }[] = await purser.knex('log_entry').select('body')
    const metrics = await purser.asAdmin('GET', '/metrics')
    const places = {
      'the log': rows.map((row) => row.body).join('\n'),
      'the server’s own log': purser.logs.join('\n'),
      metrics: metrics.text,
      replies: replies.join('\n'),
    }
    for (const [place, text] of Object.entries(places)) {
      expect(text.length, place).toBeGreaterThan(1_000)
      for (const [name, part] of secrets) expect(text.includes(part), `${name} in ${place}`).toBe(false)
    }
    // The mask is visible, so the text was not simply lost.
    expect(places['the log']).toContain('"userAgent":"[masked]"')
    expect(places['the log']).toContain('"note":"[masked]"')
  })

  it('are in the database only as hashes or encrypted under the root key', async () => {
    const tables: { tablename: string }[] = await purser
      .knex('pg_tables')
      .select('tablename')
      .where({ schemaname: 'public' })
    expect(tables.length).toBeGreaterThan(10)
    for (const { tablename } of tables) {
      const dump: { text: string }[] = await purser
        .knex(tablename)
        .select(purser.knex.raw(`${tablename}::text as text`))
      const text = dump.map((row) => row.text).join('\n')
      for (const [name, part] of secrets) {
        const hex = Buffer.from(part, 'base64').toString('hex')
        expect(text.includes(part) || text.includes(hex.slice(4, -4)), `${name} in ${tablename}`).toBe(false)
      }
    }
  })
})
