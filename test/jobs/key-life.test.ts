import { createPublicKey } from 'node:crypto'
import { compactVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { openssl, scratch } from '../support/openssl.ts'
import { readLog } from '../support/operator.ts'
import { bundleOf, jwksOf, kidsOf, rootsIn } from '../support/published.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const env = {
  PURSER_BUNDLE_REFRESH_SECONDS: '5',
  PURSER_KEY_PUBLISH_SECONDS: '100',
  PURSER_CA_SIGN_SECONDS: '1000',
  PURSER_JWT_SIGN_SECONDS: '1000',
  PURSER_MAX_X509_SECONDS: '3600',
  PURSER_MAX_JWT_SECONDS: '300',
  PURSER_CA_ROOT_SECONDS: '50000',
}

describe.each(frontDoorStores)('the life of keys (%s)', (store) => {
  const clock = createClock()
  let purser: TestPurser
  let lab: Lab

  beforeAll(async () => {
    purser = await startPurser({ store, env, now: clock.now })
    lab = await createLab(purser, clock)
  })
  afterAll(() => purser.stop())

  const passes = async (seconds: number): Promise<void> => {
    clock.advance(seconds)
    await purser.runJobs()
  }
  const sequence = async (): Promise<number> => (await bundleOf(purser)).spiffe_sequence
  const cas = async (): Promise<string[]> =>
    (await readLog(purser))
      .filter((entry) => entry.action === 'key.create' && entry.resource?.name === 'issuing-ca')
      .map((entry) => entry.resource?.id ?? '')

  it('changes nothing until the next key is due', async () => {
    const before = await sequence()
    await passes(899)
    expect(await kidsOf(purser)).toHaveLength(2)
    expect(await sequence()).toBe(before)
  })

  it('keeps the sequence when something else changes', async () => {
    const before = await sequence()
    const { accessTokenId } = await lab.get()
    await purser.asAdmin('POST', '/api/v1/revocations', { accessToken: accessTokenId })
    expect(await sequence()).toBe(before)
  })

  it('publishes the next keys before their first use', async () => {
    const [before, first] = [await sequence(), await lab.get()]
    await passes(1)
    expect(await kidsOf(purser)).toHaveLength(4)
    expect(await sequence()).toBe(before + 2)
    await passes(99)
    const last = await lab.get()
    expect([last.kid, last.issuing]).toEqual([first.kid, first.issuing])
    await passes(1)
    const next = await lab.get()
    expect(next.kid).not.toBe(first.kid)
    expect(next.issuing).not.toBe(first.issuing)
    expect(await kidsOf(purser)).toEqual(expect.arrayContaining([first.kid, next.kid]))
  })

  it('keeps a retired key until its last JWT is expired, and no longer', async () => {
    // The lab's grants last 300 s, the maximum.
    const old = await lab.get()
    const [key] = (await jwksOf(purser)).filter((jwk) => jwk.kid === old.kid)
    const before = await sequence()
    await passes(900)
    await passes(100)
    expect(await sequence()).toBe(before + 4)
    await passes(298)
    expect(await kidsOf(purser)).toContain(old.kid)
    await compactVerify(old.jwt, createPublicKey({ key: key as never, format: 'jwk' }))
    await passes(2)
    expect(await kidsOf(purser)).not.toContain(old.kid)
    expect(await sequence()).toBe(before + 6)
  })

  it('introspection accepts a JWT of a retired key until the token is expired', async () => {
    const introspect = async (token: string): Promise<unknown> =>
      (await purser.asAdmin('POST', '/api/v1/introspect', { token })).body.active
    // The last second of a key's signing: 2,000 s after the first rotation, of which 1,300 have passed.
    await passes(600)
    await passes(98)
    const old = await lab.get()
    await passes(4)
    expect((await lab.get()).kid).not.toBe(old.kid)
    expect(await introspect(old.jwt)).toBe(true)
    await passes(296)
    expect(await introspect(old.jwt)).toBe(false)
  })

  it('creates chains that openssl verifies under the one root, whichever CA signed them', async () => {
    const file = scratch()
    const { leaf, issuing, roots } = await lab.get()
    const files = [file('roots.pem', roots), file('issuing.pem', issuing), file('leaf.pem', leaf)] as const
    const at = ['-attime', String(clock.seconds())]
    const checked = openssl(['verify', '-x509_strict', ...at, '-CAfile', files[0], '-untrusted', files[1], files[2]])
    expect(checked.output).toContain('OK')
    expect(rootsIn(await bundleOf(purser))).toHaveLength(1)
    expect(await cas()).toHaveLength(4)
  })

  it('records every created key as an act of the system', async () => {
    const entries = (await readLog(purser)).filter((entry) => entry.action === 'key.create')
    expect(entries.every((entry) => entry.actor.kind === 'system')).toBe(true)
    // Log key and root once; of the others the first and three more.
    expect(entries).toHaveLength(2 + 3 * 4)
  })

  it('publishes only public members, as the clouds read them', async () => {
    for (const key of [...(await jwksOf(purser)), ...(await bundleOf(purser)).keys]) {
      for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) expect(key).not.toHaveProperty(secret)
    }
    const jwks = await jwksOf(purser)
    expect(new Set(jwks.map((key) => key.kid)).size).toBe(jwks.length)
    for (const key of jwks) expect(key).toMatchObject({ use: 'sig', alg: key.kty === 'RSA' ? 'RS256' : 'ES256' })
    const rsa = jwks.filter((key) => key.alg === 'RS256')
    expect(rsa.length).toBeGreaterThan(0)
    for (const key of rsa) expect(Object.keys(key).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use'])
    const { body } = await purser.call('GET', '/.well-known/openid-configuration')
    expect(body.id_token_signing_alg_values_supported).toContain('RS256')
    expect(body.jwks_uri).toBe(`${String(body.issuer)}/keys`)
    expect(new URL(String(body.issuer)).port).toBe('')
  })
})
