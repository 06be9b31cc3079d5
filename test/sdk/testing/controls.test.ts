/** The controls of a Purser in memory, and their effect on its clients. */
import { X509Certificate } from 'node:crypto'
import type { Purser } from '@purser/sdk'
import { type RefusalCode, type TestPurser, createTestPurser } from '@purser/sdk/testing'
import { decodeProtectedHeader } from 'jose'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { failing } from '../failing.ts'

function inMemory(options?: { trustDomain?: string }): TestPurser {
  const purser = createTestPurser(options)
  onTestFinished(() => purser.close())
  return purser
}

const spiffeId = 'spiffe://example.org/web'
const credentialRequests = ({ requests }: TestPurser) => requests.filter(({ path }) => path === '/api/v1/credentials')
const chainOf = ({ x509 }: Purser): X509Certificate[] =>
  x509.certificateChain
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter(Boolean)
    .map((line) => new X509Certificate(line))
const isUnder = (client: Purser, roots: string): boolean => {
  const issuing = chainOf(client)[1]
  const all = roots
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter(Boolean)
    .map((line) => new X509Certificate(line))
  return all.some((root) => issuing?.verify(root.publicKey))
}

describe('a workload', () => {
  test.each([
    ['of another trust domain', { spiffeId: 'spiffe://other.org/web' }],
    ['without a path', { spiffeId: 'spiffe://example.org/' }],
    ['with an invalid path', { spiffeId: 'spiffe://example.org/a//b' }],
    ['that goes up', { spiffeId: 'spiffe://example.org/a/../b' }],
    ["that is Purser's own", { spiffeId: 'spiffe://example.org/purser/server' }],
    ['that lives too shortly', { spiffeId, lifetimeSeconds: 5 }],
    ['whose tokens live too shortly', { spiffeId, jwtLifetimeSeconds: 5 }],
    ['whose session lasts too shortly', { spiffeId, sessionSeconds: 5 }],
    ['that lives for no whole seconds', { spiffeId, sessionSeconds: 10.5 }],
  ])('%s is refused', async (_, workload) => {
    expect((await failing(inMemory().connect(workload))).code).toBe('bad_options')
    expect(() => inMemory().register(workload)).toThrow(expect.objectContaining({ code: 'bad_options' }))
  })

  test('lives for at least six seconds, as docs/sdk.md states: a client subtracts five', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Math.floor(Date.now() / 1000) * 1000 + 500 })
    onTestFinished(() => void vi.useRealTimers())
    const x509 = { lifetimeSeconds: 5 }
    expect((await failing(inMemory().connect({ spiffeId, x509 }))).code).toBe('expires_too_soon')
    const client = await inMemory().connect({ spiffeId, lifetimeSeconds: 6 })
    expect(client.x509.notAfter.getTime() - Date.now()).toBe(5500)
  })

  test('keeps its registration until it is changed', async () => {
    const purser = inMemory()
    purser.register({ spiffeId, dnsNames: ['web.test'], audiences: ['payments'] })
    const web = await purser.connect({ spiffeId })
    expect(chainOf(web)[0]?.subjectAltName).toContain('DNS:web.test')
    expect((await failing(web.jwt('bank'))).code).toBe('not_granted')
    purser.register({ spiffeId, audiences: ['bank'] })
    await web.jwt('bank')
    expect(web.workload).toMatchObject({ name: 'web', revision: 2 })
    expect(chainOf(await purser.connect({ spiffeId }))[0]?.subjectAltName).toContain('DNS:web.test')
  })

  test('that is removed cannot renew, and returns as another', async () => {
    const purser = inMemory()
    const web = await purser.connect({ spiffeId })
    purser.unregister(spiffeId)
    expect((await failing(web.renew())).code).toBe('attestation_failed')
    expect(
      credentialRequests(purser)
        .slice(1)
        .map(({ reason }) => reason),
    ).toEqual(['session_ended', 'no_workload'])
    purser.register({ spiffeId })
    const { id } = web.session
    await web.renew()
    expect(web.session.id).not.toBe(id)
  })

  test('connected twice is two instances', async () => {
    const purser = inMemory()
    const [first, second] = [await purser.connect({ spiffeId }), await purser.connect({ spiffeId })]
    expect(first.session.id).not.toBe(second.session.id)
    await purser.revoke({ session: first.session.id })
    await second.renew()
  })

  test('lives no longer than requested, nor than its session', async () => {
    const purser = inMemory()
    const secondsLeft = ({ x509 }: Purser): number => Math.round((x509.notAfter.getTime() - Date.now()) / 1000)
    expect(secondsLeft(await purser.connect({ spiffeId, lifetimeSeconds: 600 }))).toBeLessThanOrEqual(600)
    const x509 = { lifetimeSeconds: 60 }
    expect(secondsLeft(await purser.connect({ spiffeId, x509 }))).toBeLessThanOrEqual(60)
    expect(secondsLeft(await purser.connect({ spiffeId, sessionSeconds: 30 }))).toBeLessThanOrEqual(30)
  })
})

describe('a proof', () => {
  test('may be any JWT that names the workload, by SPIFFE ID or name, with Purser as its audience', async () => {
    const purser = inMemory()
    for (const sub of [spiffeId, 'web']) {
      const web = await purser.connect({ spiffeId, proof: purser.proof(spiffeId, { sub }) })
      expect(web.spiffeId).toBe(spiffeId)
    }
    const proof = purser.proof(spiffeId, { aud: 'https://vault.example' })
    expect((await failing(purser.connect({ spiffeId, proof }))).code).toBe('wrong_audience')
    const expired = purser.proof(spiffeId, { exp: 1 })
    expect((await failing(purser.connect({ spiffeId, proof: expired }))).code).toBe('attestation_failed')
    expect(credentialRequests(purser).at(-1)?.reason).toBe('proof_expired')
  })

  test('may be a join token, as often as it has uses', async () => {
    const purser = inMemory()
    purser.register({ spiffeId })
    const proof = purser.joinToken(spiffeId, { uses: 2 })
    await purser.connect({ spiffeId, proof })
    await purser.connect({ spiffeId, proof })
    expect((await failing(purser.connect({ spiffeId, proof }))).code).toBe('attestation_failed')
    expect(credentialRequests(purser).map(({ by, reason }) => [by, reason])).toEqual([
      ['join-token', undefined],
      ['join-token', undefined],
      ['join-token', 'join_token'],
    ])
  })

  test('of a file is read as usual, and the environment is ignored unless it is passed', async () => {
    const purser = inMemory()
    const env = { PURSER_PROOF_FILE: '/nowhere/token', PURSER_WORKLOAD: 'other' }
    expect((await failing(purser.connect({ spiffeId, env }))).code).toBe('attestation_failed')
    const missing = await failing(purser.connect({ spiffeId, proof: { file: '/nowhere/token' } }))
    expect(missing.code).toBe('no_proof')
  })
})

describe('a rotation', () => {
  test('of the issuing CA: the next certificate is under another, and both are trusted', async () => {
    const purser = inMemory()
    const web = await purser.connect({ spiffeId })
    const before = chainOf(web)[1]?.fingerprint256
    const { roots } = purser
    await purser.rotateCa()
    await web.renew()
    expect(credentialRequests(purser).at(-1)?.by).toBe('certificate')
    expect(chainOf(web)[1]?.fingerprint256).not.toBe(before)
    expect(purser.roots).toBe(roots)
    expect(isUnder(web, roots)).toBe(true)
  })

  test('of a compromised issuing CA: what it signed cannot renew', async () => {
    const purser = inMemory()
    const web = await purser.connect({ spiffeId })
    await purser.rotateCa({ compromised: true })
    await web.renew()
    expect(credentialRequests(purser).map(({ by, reason }) => [by, reason])).toEqual([
      ['jwt', undefined],
      ['certificate', 'client_certificate'],
      ['jwt', undefined],
    ])
    expect(isUnder(web, purser.roots)).toBe(true)
  })

  test('of the root: peers trust the new root before any certificate has it', async () => {
    const purser = inMemory()
    const [web, api] = [await purser.connect({ spiffeId }), await purser.connect({ spiffeId: `${spiffeId}/api` })]
    await purser.rotateRoot()
    await web.renew()
    // Each of them knows both roots, though only one of them has renewed.
    expect([isUnder(web, api.x509.trustBundle), isUnder(api, web.x509.trustBundle)]).toEqual([true, true])
    expect(chainOf(web)[1]?.issuer).not.toBe(chainOf(api)[1]?.issuer)
  })

  test('while a client is unreachable continues without it', async () => {
    const purser = inMemory()
    const web = await purser.connect({ spiffeId })
    purser.away()
    await purser.rotateRoot()
    purser.back()
    await web.renew()
    expect(isUnder(web, web.x509.trustBundle)).toBe(true)
  })

  test('of the JWT key: tokens have another kid', async () => {
    const purser = inMemory()
    const web = await purser.connect({ spiffeId })
    const before = decodeProtectedHeader(await web.jwt('payments')).kid
    await purser.rotateJwtKey()
    expect(decodeProtectedHeader(await web.jwt('bank')).kid).not.toBe(before)
  })
})

describe('revoke()', () => {
  test('of a certificate: it cannot renew, and the proof still can', async () => {
    const purser = inMemory()
    const web = await purser.connect({ spiffeId })
    await purser.revoke({ serialNumber: web.x509.serialNumber.toUpperCase() })
    await web.renew()
    expect(
      credentialRequests(purser)
        .slice(1)
        .map(({ by, reason }) => [by, reason]),
    ).toEqual([
      ['certificate', 'session_ended'],
      ['jwt', undefined],
    ])
  })

  test('of a SPIFFE ID: all its sessions end, and none begins before it is released', async () => {
    const purser = inMemory()
    const [web, more] = [await purser.connect({ spiffeId }), await purser.connect({ spiffeId })]
    const api = await purser.connect({ spiffeId: `${spiffeId}/api` })
    await purser.revoke({ spiffeId })
    await api.renew()
    for (const client of [web, more]) expect((await failing(client.renew())).code).toBe('attestation_failed')
    expect(credentialRequests(purser).filter(({ reason }) => reason === 'session_ended')).toHaveLength(2)
    expect(credentialRequests(purser).filter(({ reason }) => reason === 'blocked')).toHaveLength(2)
    purser.release({ spiffeId })
    expect(() => purser.release({ spiffeId })).toThrow('nothing of that name is blocked')
    for (const client of [web, more]) await client.renew()
  })

  test('of an unknown credential throws', async () => {
    const purser = inMemory()
    for (const credential of [{ serialNumber: '01' }, { jti: 'x' }, { session: 'ses_1' }, { accessToken: 'tok_1' }])
      expect((await failing(purser.revoke(credential))).code).toBe('not_found')
  })
})

describe('failures', () => {
  test('refuse() applies as often as requested, or until back()', async () => {
    const purser = inMemory()
    const web = await purser.connect({ spiffeId })
    purser.refuse('not_granted', { times: 1 })
    expect((await failing(web.renew())).code).toBe('not_granted')
    await web.renew()
    purser.refuse('issuing_closed', { retryAfterSeconds: 60 })
    expect(await failing(web.renew())).toMatchObject({ code: 'issuing_closed', status: 503, retryAfterSeconds: 60 })
    purser.back()
    await web.renew()
    expect(() => purser.refuse('nonsense' as RefusalCode)).toThrow(expect.objectContaining({ code: 'bad_options' }))
  })

  test('away(): unreachable, or without an answer', async () => {
    const purser = inMemory()
    purser.away()
    expect((await failing(purser.connect({ spiffeId }))).code).toBe('unreachable')
    purser.away({ silent: true })
    expect((await failing(purser.connect({ spiffeId, timeoutMs: 20 }))).code).toBe('timeout')
    const signal = AbortSignal.timeout(20)
    expect((await failing(purser.connect({ spiffeId, signal }))).code).toBe('aborted')
    purser.back()
    await purser.connect({ spiffeId })
  })

  test('close() closes every client', async () => {
    const purser = inMemory()
    const clients = [await purser.connect({ spiffeId }), await purser.connect({ spiffeId })]
    purser.close()
    for (const client of clients) expect(() => client.x509).toThrow(expect.objectContaining({ code: 'closed' }))
  })
})

test('two of them are independent', async () => {
  const [purser, two] = [inMemory(), inMemory({ trustDomain: 'other.example' })]
  const web = await two.connect({ spiffeId: 'spiffe://other.example/web' })
  expect(isUnder(web, two.roots)).toBe(true)
  expect(isUnder(web, purser.roots)).toBe(false)
  expect(purser.requests).toEqual([])
  expect(() => inMemory({ trustDomain: 'No Domain' })).toThrow(expect.objectContaining({ code: 'bad_options' }))
})

test('requests are recorded, and contain no secret', async () => {
  const purser = inMemory()
  const proof = purser.proof(spiffeId)
  const web = await purser.connect({ spiffeId, proof, accessToken: true, jwts: ['payments'] })
  await web.jwt('bank')
  const text = JSON.stringify(purser.requests)
  const signature = (token: string): string => token.slice(token.lastIndexOf('.') + 1)
  for (const secret of [signature(proof), web.accessToken?.token ?? '', signature(await web.jwt('bank')), 'PRIVATE'])
    expect(text).not.toContain(secret)
  expect(
    purser.requests.map(({ method, path, by, spiffeId: workload, status }) => [method, path, by, workload, status]),
  ).toEqual([
    ['GET', '/api/v1/server', undefined, undefined, 200],
    ['POST', '/api/v1/credentials', 'jwt', spiffeId, 200],
    ['POST', '/api/v1/credentials', 'certificate', spiffeId, 200],
  ])
  expect(purser.requests[2]).toMatchObject({ requested: { x509: false, jwts: ['bank'], accessToken: false } })
})
