/**
 * A company's root is imported, and another CA under it issues client certificates that name a victim: by serial
 * number and SPIFFE ID. The TLS handshake accepts them, so only the caller's identification refuses them.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { termKeys } from '../../src/store/term-keys.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { createAsk, entriesOf, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { type Svid, attest, newRequest, renew, selfOf, svidOf } from '../support/svid.ts'
import { type UpstreamCa, upstreamCa } from '../support/upstream-ca.ts'

const ca = [
  'basicConstraints=critical,CA:TRUE',
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
  'authorityKeyIdentifier=keyid',
]
const secretPath = '/api/v1/secrets/lab/token'

let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  await grantSecret()
})
afterAll(() => purser.stop())

async function grantSecret(): Promise<void> {
  await purser.asAdmin('PUT', secretPath, { data: { value: 'hunter2' } }, { 'if-match': '"0"' })
  const { body, headers } = await purser.asAdmin('GET', '/api/v1/workloads/web')
  const { name, attestor, match, spiffeId, maxSessionSeconds } = body
  const grants = { ...(body.grants as object), secrets: [{ paths: ['lab/token'], actions: ['read'] }] }
  const definition = { name, attestor, match, spiffeId, maxSessionSeconds, grants }
  await purser.asAdmin('PUT', '/api/v1/workloads/web', definition, { 'if-match': headers.get('etag') ?? '' })
}

/** A company's CA: it signed our issuing CA, its root is imported, and one of its departments has a CA too. */
async function importedCompany(): Promise<{ company: UpstreamCa; department: string }> {
  const company = upstreamCa()
  const ask = createAsk(purser)
  const { body } = await ask('createCaCsr', { body: {} })
  const chain = company.signed(String(body.csr), 'root', [...ca, 'subjectAltName=URI:spiffe://example.org'])
  const imported = await ask('importCaChain', { body: { certificateChain: chain, trustBundle: company.root } })
  expect(fault(imported)).toBe('200 ')
  await purser.runJobs()
  return { company, department: company.intermediate('department', 'root', ca) }
}

/**
 * The certificate of an impostor from the other CA: the victim's serial number and names, with the impostor's own
 * key.
 */
async function impostorOf(victim: Svid): Promise<Svid> {
  const { company, department } = await importedCompany()
  const { csr, key } = newRequest()
  const names = ['extendedKeyUsage=clientAuth', 'subjectAltName=URI:spiffe://example.org/lab/web']
  const leaf = company.signed(csr, 'department', names, victim.serialNumber)
  expect(new X509Certificate(leaf).serialNumber.toLowerCase()).toBe(victim.serialNumber)
  return { ...victim, key, cert: leaf + department }
}

const get = (client: Svid, path: string): Promise<Answer> => purser.call('GET', path, undefined, { client })
const self = async (client: Svid): Promise<number> => (await selfOf(purser, client)).status

describe('a client certificate of another CA under an upstream root', () => {
  it('passes the handshake, and is no caller on any route', async () => {
    const victim = await attest(purser, issuer)
    const impostor = await impostorOf(victim)
    expect((await get(impostor, '/healthz')).status).toBe(200)
    for (const path of ['/api/v1/credentials/self', secretPath, '/api/v1/secrets', `/api/v1/watch?path=lab/token`]) {
      expect([path, fault(await get(impostor, path))]).toEqual([path, '401 unauthenticated'])
    }
    const end = await purser.call('DELETE', '/api/v1/credentials/self', undefined, { client: impostor })
    expect(fault(end)).toBe('401 unauthenticated')
    expect(await self(victim)).toBe(200)
    expect(fault(await get(victim, secretPath))).toBe('200 ')
  })

  it('renews nothing: no certificate, JWT, secret or receipt', async () => {
    const victim = await attest(purser, issuer)
    const impostor = await impostorOf(victim)
    for (const request of [
      { x509: { csr: newRequest().csr } },
      { jwts: [{ audience: ['payments'] }], accessToken: {} },
      { secrets: ['lab/token'] },
      { receipt: { sinceSize: 1 } },
    ]) {
      const answer = await renew(purser, impostor, request)
      expect(fault(answer)).toBe('401 attestation_failed')
      const [entry] = await entriesOf(purser, answer.headers.get('purser-request-id'))
      expect(entry).toMatchObject({ outcome: 'refused', reason: 'session_ended' })
      expect(entry?.actor.session).toBeUndefined()
    }
    expect(await self(victim)).toBe(200)
  })

  it('with a spent serial number ends no session', async () => {
    const victim = await attest(purser, issuer)
    const request = newRequest()
    const next = svidOf(await renew(purser, victim, { x509: { csr: request.csr } }), request)
    const impostor = await impostorOf(victim)
    expect(fault(await renew(purser, impostor, { x509: { csr: newRequest().csr } }))).toBe('401 attestation_failed')
    expect(await self(next)).toBe(200)
  })

  it('is no caller even if a row of the database claims that Purser issued it', async () => {
    const victim = await attest(purser, issuer)
    const impostor = await impostorOf(victim)
    const { raw } = new X509Certificate(impostor.cert)
    const sha256 = createHash('sha256').update(raw).digest('hex')
    const row = await purser.knex('log_entry').whereLike('body', `%${victim.serialNumber}%`).first()
    const body = JSON.parse(row.body)
    body.issued.x509.sha256 = sha256
    const forged = { ...row, idx: -1, body: JSON.stringify(body), terms: termKeys([`sha256=${sha256}`, `serialNumber=${victim.serialNumber}`]) } // prettier-ignore
    await purser.knex('log_entry').insert(forged)
    expect(await self(impostor)).toBe(401)
    expect(await self(victim)).toBe(200)
  })
})
