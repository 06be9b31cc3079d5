/** A single-use proof, sent again because the server's answer was lost: the client gets the rest over mTLS. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { connectBy } from '../../sdk/src/connect.ts'
import type { ConnectOptions } from '../../sdk/src/types/options.ts'
import { createTransport } from '../../sdk/src/connection/transport.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import type { Purser } from '../../sdk/src/types/purser.ts'

const entry = { match: { 'oidc:sub': 'job' }, spiffeId: 'spiffe://example.org/lab/job' }
const grants = {
  x509: {},
  jwt: { audiences: ['payments'] },
  secrets: [{ paths: ['lab/token'], actions: ['read'] }],
}

let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer, { singleUse: true })
  await purser.asAdmin('PUT', '/api/v1/secrets/lab/token', { data: { value: 'hunter2' } }, { 'if-match': '"0"' })
  await purser.asAdmin('POST', '/api/v1/workloads', { name: 'job', attestor: 'lab', ...entry, grants })
})
afterAll(() => purser.stop())

/** The first answer to a request for credentials is lost: the client sees 503 and retries. */
const losingTransport: typeof createTransport = (parts) => {
  const transport = createTransport(parts)
  let isLost = false
  return {
    ...transport,
    async exchange(request, signal) {
      const answer = await transport.exchange(request, signal)
      if (isLost || request.path !== '/api/v1/credentials') return answer
      isLost = true
      const text = JSON.stringify({ code: 'log_unavailable', title: 'lost', status: 503 })
      return { ...answer, status: 503, headers: { 'retry-after': '0' }, text, bytes: Buffer.from(text) }
    },
  }
}

async function connected(options: ConnectOptions): Promise<Purser> {
  const token = await issuer.token({ sub: 'job' })
  const ca = { pem: readFileSync(join(purser.dataDir, 'ca.pem'), 'utf8') }
  const all = { addr: purser.url, ca, proof: token, logKey: purser.vkeys, env: {}, ...options }
  const { client } = await connectBy(losingTransport, all)
  onTestFinished(() => client.close())
  return client
}

test('the client has everything that it requested', async () => {
  const before = (await readLog(purser)).length
  const client = await connected({ jwts: ['payments'], accessToken: true, secrets: ['lab/token'] })
  expect(await client.jwt('payments')).toContain('.')
  expect((await client.secrets.get('lab/token')).data).toEqual({ value: 'hunter2' })
  expect(client.spiffeId).toBe(entry.spiffeId)
  const entries = (await readLog(purser)).slice(before).filter(({ action }) => action === 'credentials.issue')
  expect(entries.map(({ issued }) => Object.keys(issued ?? {}).toSorted())).toEqual([
    ['accessToken', 'jwts', 'secrets', 'x509'],
    ['x509'],
    ['accessToken', 'jwts', 'secrets'],
  ])
})

test('a client that requests only a certificate is not affected', async () => {
  const client = await connected({})
  expect(client.x509.serialNumber).toMatch(/^[0-9a-f]{32}$/)
})
