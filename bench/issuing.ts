/** The measured requests: recorded issuances over HTTP, each with its own token. */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { SignJWT } from 'jose'

export const issuer = 'https://issuer.bench.example'
export const audience = 'https://purser.bench.example'

/** Kubernetes, GitHub, GitLab and Google sign with RSA. Verifying ES256 is more expensive. */
export type Alg = 'ES256' | 'RS256'
export const issuerKeys = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
}

export const token = (alg: Alg = 'ES256'): Promise<string> => {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ ns: 'prod' })
    .setProtectedHeader({ alg, kid: alg })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject('web')
    .setIssuedAt(now)
    .setExpirationTime(now + 3600)
    .setJti(randomUUID())
    .sign(issuerKeys[alg].privateKey)
}

export const newCsr = (): string => createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)

export type Credentials = 'x509' | 'jwt' | 'both'

/** Creates whole HTTP requests. `fresh`: each has its own key; otherwise all share one CSR. */
export async function makeRequests(
  count: number,
  credentials: Credentials,
  fresh: boolean,
  alg: Alg,
): Promise<string[]> {
  const csr = newCsr()
  const requests: string[] = []
  for (let n = 0; n < count; n++) {
    const body = {
      proof: { kind: 'jwt', token: await token(alg) },
      ...(credentials !== 'jwt' && { x509: { csr: fresh ? newCsr() : csr } }),
      ...(credentials !== 'x509' && { jwts: [{ audience: ['payments'] }] }),
    }
    requests.push(httpRequest('POST', '/api/v1/credentials', body))
  }
  return requests
}

export const httpRequest = (
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): string => {
  const text = body === undefined ? '' : JSON.stringify(body)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const content = text && `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`
  return `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${content}${lines.join('')}\r\n${text}`
}
