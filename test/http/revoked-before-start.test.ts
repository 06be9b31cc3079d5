/**
 * A process that starts after a revocation does not have the revoked name in memory. The look-up of the credential
 * refuses it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { type Svid, attest, newRequest, renew, selfOf } from '../support/svid.ts'

let purser: TestPurser
let issuer: Issuer

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(() => purser.stop())

/** Another replica of the same database, which starts now. */
const openReplica = (): Promise<TestPurser> => startReplica(purser, { tls: true })

const revoke = (subject: Record<string, string>) => purser.asAdmin('POST', '/api/v1/revocations', subject)

type Credentials = { jwt: string; jti: string; accessToken: string; accessTokenId: string }
async function attestForTokens(): Promise<Credentials> {
  const proof = { kind: 'jwt', token: await issuer.token({}) }
  const { body } = await purser.call('POST', '/api/v1/credentials', {
    proof,
    jwts: [{ audience: ['payments'] }],
    accessToken: {},
  })
  const [jwt] = body.jwts as Record<string, string>[]
  const accessToken = body.accessToken as Record<string, string>
  return {
    jwt: jwt?.token ?? '',
    jti: jwt?.jti ?? '',
    accessToken: accessToken.token ?? '',
    accessTokenId: accessToken.id ?? '',
  }
}
const isActive = async (at: TestPurser, token: string): Promise<unknown> =>
  (await at.asAdmin('POST', '/api/v1/introspect', { token })).body.active
const self = async (at: TestPurser, svid: Svid): Promise<number> => (await selfOf(at, svid)).status
const renewalOf = async (at: TestPurser, svid: Svid): Promise<number> =>
  (await renew(at, svid, { x509: { csr: newRequest().csr } })).status

describe('a replica that started after a revocation', () => {
  let svids: { revoked: Svid; live: Svid }
  let tokens: { revokedJwt: Credentials; revokedToken: Credentials; live: Credentials }
  let replica: TestPurser

  beforeAll(async () => {
    svids = { revoked: await attest(purser, issuer), live: await attest(purser, issuer) }
    const [revokedJwt, revokedToken, live] = [await attestForTokens(), await attestForTokens(), await attestForTokens()]
    tokens = { revokedJwt, revokedToken, live }
    await revoke({ serialNumber: svids.revoked.serialNumber })
    await revoke({ jti: tokens.revokedJwt.jti })
    await revoke({ accessToken: tokens.revokedToken.accessTokenId })
    replica = await openReplica()
  })
  afterAll(() => replica.stop())

  it('refuses the certificate as a caller and as a proof', async () => {
    expect(await self(replica, svids.revoked)).toBe(401)
    expect(await renewalOf(replica, svids.revoked)).toBe(401)
    expect(await self(replica, svids.live)).toBe(200)
  })

  it('refuses the JWT and the access token', async () => {
    expect(await isActive(replica, tokens.revokedJwt.jwt)).toBe(false)
    expect(await isActive(replica, tokens.revokedToken.accessToken)).toBe(false)
    expect(await isActive(replica, tokens.live.jwt)).toBe(true)
    expect(await isActive(replica, tokens.live.accessToken)).toBe(true)
    const refused = await replica.call('GET', '/api/v1/credentials/self', undefined, {
      token: tokens.revokedToken.accessToken,
    })
    expect(refused.status).toBe(401)
  })

  it('refuses credentials that are revoked after its start', async () => {
    await revoke({ serialNumber: svids.live.serialNumber })
    await expect.poll(() => self(replica, svids.live)).toBe(401)
    await revoke({ accessToken: tokens.live.accessTokenId })
    await expect.poll(() => isActive(replica, tokens.live.accessToken)).toBe(false)
  })
})
