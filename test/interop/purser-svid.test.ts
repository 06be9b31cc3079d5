// Independent readers of Purser's credentials: go-spiffe for identities and the bundle, zlint for certificates and CRLs.

import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIssuer, registerLab } from '../support/issuer.ts'
import type { Issuer } from '../support/issuer.ts'
import { startPurser, trustDomain } from '../support/purser.ts'
import type { TestPurser } from '../support/purser.ts'
import { check } from './support/checker.ts'

let purser: TestPurser
let issuer: Issuer
let bundle: string

type Credentials = {
  x509: { certificateChain: string; serialNumber: string; notAfter: string; privateKey?: string }
  jwts: { token: string; jti: string; audience: string[] }[]
}
const keys: Record<string, () => KeyObject> = {
  'EC P-256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  'EC P-384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  Ed25519: () => generateKeyPairSync('ed25519').privateKey,
  'RSA 2048': () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
}
const certificates = (chain: string): string[] => chain.split(/(?<=-----END CERTIFICATE-----\n)/).filter(Boolean)

async function issue(privateKey: KeyObject): Promise<Credentials> {
  const answer = await purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token: await issuer.token() },
    x509: { csr: createCsr(privateKey) },
    jwts: [{ audience: ['payments'] }, { audience: ['cloud'] }],
  })
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.body as unknown as Credentials
}

beforeAll(async () => {
  purser = await startPurser({ store: 'embedded' })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  bundle = (await purser.call('GET', '/bundle')).text
})
afterAll(() => purser.stop())

describe('go-spiffe', () => {
  it('reads the bundle', async () => {
    const verdict = await check('bundle', { trustDomain, bundle })
    expect(verdict).toMatchObject({
      x509Authorities: [expect.any(String)],
      jwtAuthorities: [expect.any(String), expect.any(String)],
      sequenceNumber: expect.any(Number),
      refreshHintSeconds: expect.any(Number),
    })
  })

  it.each(Object.keys(keys))('accepts an X.509-SVID with a key of %s and verifies it with the bundle', async (kind) => {
    const privateKey = keys[kind]?.()
    if (!privateKey) throw new Error(kind)
    const { x509 } = await issue(privateKey)
    const keyPem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    expect(await check('x509svid', { certPem: x509.certificateChain, keyPem, trustDomain, bundle })).toEqual({
      id: 'spiffe://example.org/lab/web',
      notAfter: x509.notAfter.replace('.000Z', 'Z'),
      chainSize: expect.any(Number),
    })
  })

  it.each([
    ['ES256', 0, 'payments'],
    ['RS256', 1, 'cloud'],
  ])('accepts a JWT-SVID signed with %s, by the bundle, and by the JWKS', async (_, n, audience) => {
    const { jwts } = await issue(generateKeyPairSync('ed25519').privateKey)
    const token = jwts[n]?.token ?? ''
    const jwks = (await purser.call('GET', '/keys')).text
    for (const source of [{ bundle }, { jwks }]) {
      const verdict = await check('jwtsvid', { token, audience: [audience], trustDomain, ...source })
      expect(verdict).toMatchObject({ id: 'spiffe://example.org/lab/web', audience: [audience] })
    }
    const other = await check('jwtsvid', { token, audience: ['nobody'], trustDomain, bundle })
    expect(other).toMatchObject({ error: expect.stringContaining('audience') })
  })
})

const https =
  'CRLs are on the one listener, which speaks TLS alone: RFC 5280 leaves the scheme open, browsers want http'
const reason = 'the chain is always sent along, and SPIFFE clients never fetch issuers or ask OCSP'
const publicWeb = 'a rule of the CA/Browser Forum for the public web, which this CA does not serve'
const spiffe = 'an X.509-SVID is named by a URI (SPIFFE X.509-SVID, section 2)'

/** The findings of zlint for certificates of workloads, and why they stay. Any other finding fails the test. */
const explained: Record<string, string> = {
  e_crl_distrib_points_not_http: https,
  e_sub_cert_crl_distribution_points_does_not_contain_url: https,
  e_sub_ca_crl_distribution_points_does_not_contain_url: https,
  w_distribution_point_missing_ldap_or_uri: https,
  e_sub_cert_aia_missing: reason,
  w_sub_cert_aia_does_not_contain_issuing_ca_url: reason,
  w_sub_ca_aia_missing: reason,
  e_ext_san_uniform_resource_identifier_present: spiffe,
  e_dnsname_not_valid_tld: 'names inside a cluster end in no public domain',
  e_sub_cert_cert_policy_empty: publicWeb,
  e_sub_cert_certificate_policies_missing: publicWeb,
  e_sub_ca_certificate_policies_missing: publicWeb,
  e_invalid_ca_certificate_policies: publicWeb,
  e_ca_country_name_missing: publicWeb,
  e_ca_organization_name_missing: publicWeb,
  e_algorithm_identifier_improper_encoding: `Ed25519 is not among the browsers' algorithms: ${publicWeb}`,
  w_ext_subject_key_identifier_not_recommended_subscriber: `${publicWeb}; RFC 5280 section 4.2.1.2 wants it there`,
}

describe('zlint', () => {
  const unexplained = async (pem: string): Promise<string[]> => {
    const verdict = await check('zlint', { pem })
    if (!('findings' in verdict)) return [verdict.error]
    expect(verdict.applied).toBeGreaterThan(0)
    return verdict.findings
      .filter(({ severity, lint }) => /^(?:warn|error|fatal)$/.test(severity) && !Object.hasOwn(explained, lint))
      .map(({ severity, lint, details }) => `${severity} ${lint} ${details}`)
  }

  it.each(Object.keys(keys))('has no unexplained finding for an X.509-SVID with a key of %s', async (kind) => {
    const { x509 } = await issue(keys[kind]?.() ?? generateKeyPairSync('ed25519').privateKey)
    const [leaf = ''] = certificates(x509.certificateChain)
    expect(await unexplained(leaf)).toEqual([])
  })

  it('has no unexplained finding for the issuing CA, the root, and their CRLs', async () => {
    const { x509 } = await issue(generateKeyPairSync('ed25519').privateKey)
    const [leaf = '', ...above] = certificates(x509.certificateChain)
    const roots = certificates((await purser.call('GET', '/ca.pem')).text)
    expect([above.length, roots.length]).toEqual([1, 1])
    for (const pem of [...above, ...roots]) expect(await unexplained(pem)).toEqual([])
    for (const pem of [leaf, ...above]) expect(await unexplained(await crlOf(crlPath(pem)))).toEqual([])
    for (const shard of [0, 63]) expect(await unexplained(await crlOf(`${crlPath(leaf)}/${shard}`))).toEqual([])
  })
})

const crlPath = (pem: string): string =>
  /\/crl\/ca-[0-9a-f]{32}/.exec(new X509Certificate(pem).raw.toString('latin1'))?.[0] ?? ''

async function crlOf(path: string): Promise<string> {
  const crl = Buffer.from(await (await fetch(purser.url + path)).arrayBuffer()).toString('base64')
  const lines = crl.match(/.{1,64}/g) ?? []
  return `-----BEGIN X509 CRL-----\n${lines.join('\n')}\n-----END X509 CRL-----\n`
}

describe('Go', () => {
  it('reads the whole CRL and a shard of it, and finds a revoked certificate in both', async () => {
    const { x509 } = await issue(generateKeyPairSync('ed25519').privateKey)
    const [leaf = '', issuer = ''] = certificates(x509.certificateChain)
    await purser.asAdmin('POST', '/api/v1/revocations', { serialNumber: x509.serialNumber, reason: 'keyCompromise' })
    const serial = x509.serialNumber.replace(/^0+/, '')
    const shard = Number.parseInt(serial.slice(-2), 16) % 64
    const whole = await check('crl', { pem: await crlOf(crlPath(leaf)), issuer })
    expect(whole).toMatchObject({ serials: expect.arrayContaining([serial]), critical: [] })
    const part = await check('crl', { pem: await crlOf(`${crlPath(leaf)}/${shard}`), issuer })
    expect(part).toMatchObject({ serials: [serial], critical: ['2.5.29.28'] })
    const other = await check('crl', { pem: await crlOf(`${crlPath(leaf)}/${(shard + 1) % 64}`), issuer })
    expect(other).toMatchObject({ serials: [] })
  })
})
