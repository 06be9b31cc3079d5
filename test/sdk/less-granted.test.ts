/**
 * A workload entry that grants less than before. The client still renews what is granted, although a request is all
 * or nothing.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ConnectOptions, type Purser, connect } from '@purser/sdk'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { failing } from './failing.ts'

let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(() => purser.stop())

const allGrants = {
  x509: { dnsNames: ['web.lab'], maxLifetimeSeconds: 3600 },
  jwt: { audiences: ['payments', 'cloud'], maxLifetimeSeconds: 300 },
}

async function grant(grants: Record<string, unknown>): Promise<void> {
  const { body } = await purser.asAdmin('GET', '/api/v1/workloads/web')
  const { name, attestor, match, spiffeId, maxSessionSeconds, revision } = body
  const entry = { name, attestor, match, spiffeId, maxSessionSeconds, grants }
  await purser.asAdmin('PUT', '/api/v1/workloads/web', entry, { 'if-match': `"${String(revision)}"` })
}
beforeEach(() => grant(allGrants))

async function client(options: ConnectOptions): Promise<{ client: Purser; warnings: string[] }> {
  const warnings: string[] = []
  const connected = await connect({
    addr: purser.url,
    ca: { pem: await readFile(join(purser.dataDir, 'ca.pem'), 'utf8') },
    logKey: purser.vkeys,
    env: {},
    proof: () => issuer.token(),
    onWarning: (warning) => warnings.push(warning),
    ...options,
  })
  onTestFinished(() => connected.close())
  return { client: connected, warnings }
}

test('an audience that is no longer granted is left out, with a warning that names it', async () => {
  const { client: web, warnings } = await client({ jwts: ['payments', 'cloud'] })
  const before = { serialNumber: web.x509.serialNumber, cloud: await web.jwt('cloud') }
  await grant({ ...allGrants, jwt: { ...allGrants.jwt, audiences: ['cloud'] } })
  await web.renew()
  expect(web.x509.serialNumber).not.toBe(before.serialNumber)
  expect(await web.jwt('cloud')).not.toBe(before.cloud)
  expect(warnings).toEqual([expect.stringMatching(/^a JWT for payments is no longer granted/)])
  // A caller that renews manually may know that it is granted again.
  await grant(allGrants)
  await web.renew()
  expect(warnings).toHaveLength(1)
})

test('no JWT is granted: the certificate is renewed', async () => {
  const { client: web, warnings } = await client({ jwts: ['payments'], accessToken: true })
  const { serialNumber } = web.x509
  await grant({ x509: allGrants.x509 })
  await web.renew()
  expect(web.x509.serialNumber).not.toBe(serialNumber)
  expect(warnings).toHaveLength(1)
})

test('a name in the certificate is not granted: tokens are renewed, and the certificate has the reason', async () => {
  const { client: web } = await client({ jwts: ['payments'], x509: { dnsNames: ['web.lab'] } })
  const before = { serialNumber: web.x509.serialNumber, token: await web.jwt('payments') }
  await grant({ ...allGrants, x509: { dnsNames: [] } })
  expect((await failing(web.renew())).code).toBe('not_granted')
  expect(web.x509.serialNumber).toBe(before.serialNumber)
  expect(await web.jwt('payments')).not.toBe(before.token)
})

test('nothing is granted: the refusal is reported unchanged', async () => {
  const { client: web } = await client({ jwts: ['payments'], x509: false })
  await grant({ x509: allGrants.x509 })
  expect((await failing(web.renew())).code).toBe('not_granted')
})
