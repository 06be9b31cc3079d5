/** Sessions of a workload entry whose SPIFFE ID changes. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type Ask, createAsk, entryOf, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type Svid, newRequest, renew, selfOf, svidOf } from '../support/svid.ts'

const [web, shop] = ['spiffe://example.org/lab/web', 'spiffe://example.org/lab/shop']

describe('sessions of an entry whose SPIFFE ID changes', () => {
  let purser: TestPurser
  let ask: Ask
  let issuer: Issuer
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', tls: true })
    ask = createAsk(purser)
    issuer = await createIssuer()
    await registerLab(purser, issuer)
  })
  afterAll(() => purser.stop())

  async function rewrite(change: Record<string, unknown>): Promise<void> {
    const { body, headers } = await ask('getWorkload', { name: 'web' })
    const memberNames = ['name', 'attestor', 'match', 'spiffeId', 'grants', 'maxSessionSeconds']
    const definition = Object.fromEntries(Object.entries(body).filter(([name]) => memberNames.includes(name)))
    const revision = Number(/\d+/.exec(headers.get('etag') ?? '')?.[0])
    const answer = await ask('replaceWorkload', { name: 'web', body: { ...definition, ...change }, ifMatch: revision })
    expect(fault(answer)).toBe('200 ')
  }

  type Token = { token: string }
  type Attested = Svid & { spiffeId: unknown; jwt: string; accessToken: string }
  async function attest(token: string): Promise<Attested> {
    const request = newRequest()
    const credentialRequest = { x509: { csr: request.csr }, jwts: [{ audience: ['payments'] }], accessToken: {} }
    const answer = await purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token },
      ...credentialRequest,
    })
    const svid = svidOf(answer, request)
    const { jwts, accessToken } = answer.body as unknown as { jwts: Token[]; accessToken: Token }
    return { ...svid, spiffeId: answer.body.spiffeId, jwt: jwts[0]?.token ?? '', accessToken: accessToken.token }
  }
  const introspect = async (token: string) => (await ask('introspectToken', { body: { token } })).body
  const self = async ({ accessToken }: Attested) => {
    const { status, body } = await ask('whoAmI', { token: accessToken })
    return status === 200 ? body.spiffeId : status
  }

  let token: string
  let before: Attested
  beforeEach(async () => {
    await rewrite({ spiffeId: web })
    token = await issuer.token()
    before = await attest(token)
    expect([await self(before), (await introspect(before.jwt)).active]).toEqual([web, true])
  })

  it('are no longer valid: access token, JWT and certificate are refused', async () => {
    await rewrite({ spiffeId: shop })
    expect(await self(before)).toBe(401)
    expect((await selfOf(purser, before)).status).toBe(401)
    expect(await introspect(before.accessToken)).toEqual({ active: false })
    expect(await introspect(before.jwt)).toEqual({ active: false })
  })

  it('are not renewed under the new ID: the workload must attest again', async () => {
    await rewrite({ spiffeId: shop })
    for (const more of [{}, { jwts: [{ audience: ['payments'] }] }, { x509: { csr: newRequest().csr } }]) {
      const answer = await renew(purser, before, more)
      expect(fault(answer)).toBe('401 attestation_failed')
      expect((await entryOf(purser, answer))?.reason).toBe('session_ended')
    }
  })

  it('of the same instance are separate for each SPIFFE ID', async () => {
    await rewrite({ spiffeId: shop })
    const after = await attest(token)
    expect([after.spiffeId, await self(after)]).toEqual([shop, shop])
    expect(after.session).not.toBe(before.session)
    expect(await introspect(after.accessToken)).toMatchObject({ active: true, sub: shop, session: after.session })
    expect(await introspect(after.jwt)).toMatchObject({ active: true, sub: shop, session: after.session })
    const revoked = await ask('createRevocation', { body: { spiffeId: shop } })
    expect(revoked.body.revoked).toMatchObject({ sessions: 1 })
    expect(await self(after)).toBe(401)
    await ask('releaseRevocation', { name: String(revoked.body.id), reason: 'the next test is of this SPIFFE ID too' })
  })

  it('are refused if one of them was revoked, since the instance is the same', async () => {
    await ask('createRevocation', { body: { session: before.session } })
    await rewrite({ spiffeId: shop })
    const answer = await purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token } })
    expect((await entryOf(purser, answer))?.reason).toBe('blocked')
  })

  it('continue if another member changed, or the SPIFFE ID is restored', async () => {
    await rewrite({ maxSessionSeconds: 3600 })
    expect(await self(before)).toBe(web)
    await rewrite({ spiffeId: shop })
    await attest(token)
    await rewrite({ spiffeId: web })
    expect((await attest(token)).session).toBe(before.session)
    expect(await self(before)).toBe(web)
  })
})
