/** A workload that requests credentials: one CSR, tokens of the stand-in issuer by the test's clock. */
import { type KeyObject, X509Certificate, generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { decodeProtectedHeader } from 'jose'
import { type Clock, createClock } from './clock.ts'
import { type Issuer, createIssuer, registerLab } from './issuer.ts'
import { split } from './published.ts'
import type { TestPurser } from './purser.ts'

export type IssuedCredentials = {
  privateKey: KeyObject
  leaf: string
  issuing: string
  chain: string
  roots: string
  serialNumber: string
  session: string
  jwt: string
  jti: string
  kid: string
  accessToken: string
  accessTokenId: string
}

export type Lab = {
  issuer: Issuer
  /** @param claims of the proof: `jti` by itself is fresh, `sub` chooses the workload */
  get(claims?: Record<string, unknown>, more?: Record<string, unknown>): Promise<IssuedCredentials>
  ask(claims?: Record<string, unknown>, more?: Record<string, unknown>): ReturnType<TestPurser['call']>
}

const part = (value: unknown): Record<string, string> => value as Record<string, string>

/** @param clock the server's, unless it is the machine's */
export async function createLab(purser: TestPurser, clock: Clock = createClock()): Promise<Lab> {
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  return labOf(purser, issuer, clock)
}

function labOf(purser: TestPurser, issuer: Issuer, clock: Clock): Lab {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ask: Lab['ask'] = async (claims = {}, more = {}) => {
    const now = clock.seconds()
    const token = await issuer.token({ iat: now, exp: now + 600, ...claims })
    return purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token }, ...more })
  }
  return {
    issuer,
    ask,
    async get(claims, more = {}) {
      const request = {
        x509: { csr: createCsr(privateKey) },
        jwts: [{ audience: ['payments'] }],
        accessToken: {},
        ...more,
      }
      const { status, body, text } = await ask(claims, request)
      if (status !== 200) throw new Error(`not issued: ${text}`)
      const x509 = part(body.x509 ?? {})
      const [jwt] = (body.jwts ?? []) as Record<string, string>[]
      const [leaf = '', issuing = ''] = split(x509.certificateChain ?? '')
      return {
        privateKey,
        leaf,
        issuing,
        chain: x509.certificateChain ?? '',
        roots: x509.trustBundle ?? '',
        serialNumber: leaf === '' ? '' : new X509Certificate(leaf).serialNumber.toLowerCase(),
        session: part(body.session).id ?? '',
        jwt: jwt?.token ?? '',
        jti: jwt?.jti ?? '',
        kid: jwt?.token === undefined ? '' : (decodeProtectedHeader(jwt.token).kid ?? ''),
        accessToken: part(body.accessToken ?? {}).token ?? '',
        accessTokenId: part(body.accessToken ?? {}).id ?? '',
      }
    },
  }
}
