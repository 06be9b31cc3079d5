/** verifyJwt of tokens of a real Purser: key rotation, revocation, and what applies during an outage. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectOptions, type Purser, type VerifyJwtOptions, connect } from '@purser/sdk'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { failing } from './failing.ts'

let purser: TestPurser
let issuer: Issuer
let service: Purser
const open: Purser[] = []
const warnings: string[] = []

/** @param claims of the proof: each `jti` is an instance of its own */
async function connected(options: ConnectOptions = {}, claims: Record<string, unknown> = {}): Promise<Purser> {
  const client = await connect({
    env: {},
    addr: purser.url,
    ca: { pem: readFileSync(join(purser.dataDir, 'ca.pem'), 'utf8') },
    logKey: purser.vkeys,
    proof: () => issuer.token(claims),
    onWarning: (warning) => warnings.push(warning),
    ...options,
  })
  open.push(client)
  return client
}

beforeAll(async () => {
  const env = { PURSER_BUNDLE_REFRESH_SECONDS: '1', PURSER_KEY_PUBLISH_SECONDS: '2' }
  purser = await startPurser({ tls: true, env })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  service = await connected()
})
afterAll(async () => {
  for (const purser of open) purser.close()
  await purser.stop()
})

/** Options that require Purser's current answer. */
const now: VerifyJwtOptions = { audience: 'payments', revocation: 'require', revocationMaxAgeSeconds: 0 }
const offline: VerifyJwtOptions = { audience: 'payments', revocation: 'off' }
const jtiOf = (token: string): string => String(decodeJwt(token).jti)
const revoke = (body: unknown) => purser.asAdmin('POST', '/api/v1/revocations', body)
const tokenOf = async (audience = 'payments'): Promise<string> =>
  (await connected({ x509: false, jwts: [audience] })).jwt(audience)

test.each([
  ['payments', 'ES256'],
  ['cloud', 'RS256'],
])('a token for %s, under %s, names the workload that it was issued to', async (audience, alg) => {
  const token = await tokenOf(audience)
  expect(decodeProtectedHeader(token).alg).toBe(alg)
  const { exp = 0, iat = 0, iss } = decodeJwt(token)
  expect(await service.verifyJwt(token, { audience, revocation: 'require' })).toMatchObject({
    spiffeId: 'spiffe://example.org/lab/web',
    audience: [audience],
    jti: jtiOf(token),
    expiresAt: new Date(exp * 1000),
    issuedAt: new Date(iat * 1000),
    claims: { iss },
  })
  expect((await failing(service.verifyJwt(token, { audience: 'other' }))).message).toContain('(aud)')
})

describe('a service that checks revocation', () => {
  test('with its access token needs no certificate', async () => {
    const other = await connected({ x509: false, accessToken: true })
    const token = await tokenOf()
    expect(await other.verifyJwt(token, now)).toMatchObject({ jti: jtiOf(token) })
    await revoke({ jti: jtiOf(token) })
    expect((await failing(other.verifyJwt(token, now))).code).toBe('revoked')
  })

  test('with neither cannot check: it accepts with one warning, or refuses under `require`', async () => {
    const other = await connected({ x509: false })
    const [first, second] = [await tokenOf(), await tokenOf()]
    warnings.length = 0
    expect(await other.verifyJwt(first, { audience: 'payments' })).toMatchObject({ jti: jtiOf(first) })
    expect(await other.verifyJwt(second, { audience: 'payments' })).toMatchObject({ jti: jtiOf(second) })
    expect(warnings).toEqual([expect.stringContaining('neither a certificate')])
    expect((await failing(other.verifyJwt(first, now))).code).toBe('not_requested')
  })
})

describe('revocation', () => {
  test('ends one token, and no other of its session', async () => {
    const caller = await connected({ x509: false, jwts: ['payments', 'cloud'] })
    const [payments, cloud] = [await caller.jwt('payments'), await caller.jwt('cloud')]
    await service.verifyJwt(payments, now)
    await revoke({ jti: jtiOf(payments) })
    // A recent answer still applies for a moment, and a verifier that does not check never learns of it.
    expect(await service.verifyJwt(payments, { audience: 'payments', revocationMaxAgeSeconds: 300 })).toBeDefined()
    expect(await service.verifyJwt(payments, offline)).toBeDefined()
    const error = await failing(service.verifyJwt(payments, now))
    expect(error.code).toBe('revoked')
    expect(error.message).not.toContain(payments.split('.')[2])
    // The answer is cached: no further request.
    expect((await failing(service.verifyJwt(payments, { audience: 'payments' }))).code).toBe('revoked')
    expect(await service.verifyJwt(cloud, { ...now, audience: 'cloud' })).toBeDefined()
  })

  test('of a session ends all its tokens, and none of another', async () => {
    const caller = await connected({ jwts: ['payments'] })
    const other = await connected({ jwts: ['payments'] })
    const [first, second] = [await caller.jwt('payments'), await other.jwt('payments')]
    await revoke({ session: caller.session.id })
    expect((await failing(service.verifyJwt(first, now))).code).toBe('revoked')
    expect(await service.verifyJwt(second, now)).toBeDefined()
  })

  test('disabling a workload ends its tokens until it is enabled again', async () => {
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'shop',
      attestor: 'lab',
      match: { 'oidc:sub': 'shop' },
      spiffeId: 'spiffe://example.org/lab/shop',
      grants: { jwt: { audiences: ['payments'], maxLifetimeSeconds: 300 } },
      maxSessionSeconds: 7200,
    })
    const shop = await connected({ x509: false, jwts: ['payments'] }, { sub: 'shop' })
    const token = await shop.jwt('payments')
    const lab = { ...now, accept: 'spiffe://example.org/lab/shop' }
    expect(await service.verifyJwt(token, lab)).toMatchObject({ spiffeId: 'spiffe://example.org/lab/shop' })
    await purser.asAdmin('POST', '/api/v1/workloads/shop:disable')
    expect((await failing(service.verifyJwt(token, lab))).code).toBe('revoked')
    await purser.asAdmin('POST', '/api/v1/workloads/shop:enable')
    expect(await service.verifyJwt(token, lab)).toBeDefined()
  })
})

describe('when the keys change', () => {
  /** The bundle is requested at most every few seconds, whatever key ids strangers send. */
  const patience = { timeout: 60_000, interval: 500 }
  const verdict = (token: string, options: VerifyJwtOptions): Promise<string> =>
    service.verifyJwt(token, options).then(
      () => 'accepted',
      (error: Error) => error.message,
    )

  test('the new one is found automatically, and the old one still verifies', async () => {
    const before = await tokenOf()
    await purser.asAdmin('POST', '/api/v1/keys/jwt:rotate', {})
    const kid = decodeProtectedHeader(before).kid
    const after = await expect
      .poll(async () => {
        await purser.runJobs()
        const token = await tokenOf()
        return decodeProtectedHeader(token).kid === kid ? '' : token
      }, patience)
      .not.toBe('')
      .then(() => tokenOf())
    await expect.poll(() => verdict(after, offline), patience).toBe('accepted')
    expect(await verdict(before, now)).toBe('accepted')
  })

  test('a compromised one invalidates at once what it signed', async () => {
    const before = await tokenOf()
    expect(await verdict(before, now)).toBe('accepted')
    await purser.asAdmin('POST', '/api/v1/keys/jwt:rotate', { compromised: true })
    expect(await verdict(before, now)).toContain('revoked')
    const after = await tokenOf()
    await expect.poll(() => verdict(after, offline), patience).toBe('accepted')
    expect(await verdict(before, offline)).toContain('(kid)')
  })
})

describe('during an outage', () => {
  test('the last answer applies; without one the token is accepted with a warning or refused, by the option', async () => {
    const [checked, revoked, unknown] = [await tokenOf(), await tokenOf(), await tokenOf()]
    const current = { audience: 'payments', revocationMaxAgeSeconds: 0 }
    await expect
      .poll(() => service.verifyJwt(checked, current).then(() => true, String), { timeout: 60_000 })
      .toBe(true)
    await revoke({ jti: jtiOf(revoked) })
    expect((await failing(service.verifyJwt(revoked, current))).code).toBe('revoked')
    const stranger = await connected()
    await purser.stop()
    warnings.length = 0
    expect(await service.verifyJwt(checked, current)).toBeDefined()
    expect((await failing(service.verifyJwt(revoked, current))).code).toBe('revoked')
    expect(warnings).toEqual([])
    expect(await service.verifyJwt(unknown, current)).toBeDefined()
    expect(await service.verifyJwt(unknown, current)).toBeDefined()
    expect(warnings).toEqual([expect.stringContaining('without a revocation check')])
    expect((await failing(service.verifyJwt(checked, now))).code).toBe('unreachable')
    // Without keys no token can be verified.
    expect((await failing(stranger.verifyJwt(checked, offline))).code).toBe('unreachable')
  })
})

test('after close() nothing is verified', async () => {
  service.close()
  expect((await failing(service.verifyJwt('x', offline))).code).toBe('closed')
})
