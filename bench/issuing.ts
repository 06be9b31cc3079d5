/** What is measured: recorded issuances over HTTP, each request with a token of its own. */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { createCsr } from '@purser/sdk/csr'
import { SignJWT, exportJWK } from 'jose'

const issuer = 'https://issuer.bench.example'
export const audience = 'https://purser.bench.example'
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

export const token = (): Promise<string> => {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ ns: 'prod' })
    .setProtectedHeader({ alg: 'ES256', kid: 'bench' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject('web')
    .setIssuedAt(now)
    .setExpirationTime(now + 3600)
    .setJti(randomUUID())
    .sign(privateKey)
}

const newCsr = (): string => createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)

export type What = 'x509' | 'jwt' | 'both'

/** Whole HTTP requests. `fresh`: each with a key of its own, else one CSR for all. */
export async function makeRequests(count: number, what: What, fresh: boolean): Promise<string[]> {
  const csr = newCsr()
  const made: string[] = []
  for (let n = 0; n < count; n++) {
    const body = JSON.stringify({
      proof: { kind: 'jwt', token: await token() },
      ...(what !== 'jwt' && { x509: { csr: fresh ? newCsr() : csr } }),
      ...(what !== 'x509' && { jwts: [{ audience: ['payments'] }] }),
    })
    made.push(
      `POST /api/v1/credentials HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  }
  return made
}

type Place = { port: number; roots: string; dataDir: string }

/** Registers the bench's issuer and one workload. */
export async function register({ port, roots, dataDir }: Place): Promise<void> {
  const call = (path: string, bearer: string, body?: unknown): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body)
      const headers = { authorization: `Bearer ${bearer}`, ...(text && { 'content-type': 'application/json' }) }
      const sent = request(
        { host: '127.0.0.1', port, path, method: 'POST', ca: roots, servername: 'localhost', headers },
        (reply) => {
          let got = ''
          reply.on('data', (chunk: Buffer) => (got += chunk.toString()))
          reply.on('end', () => {
            if ((reply.statusCode ?? 0) < 300) resolve(JSON.parse(got) as Record<string, unknown>)
            else reject(new Error(`${path}: ${reply.statusCode} ${got}`))
          })
        },
      )
      sent.on('error', reject).end(text)
    })
  const bootstrap = (await readFile(join(dataDir, 'bootstrap-token'), 'utf8')).trim()
  const admin = String((await call('/api/v1/bootstrap', bootstrap)).token)
  const jwk = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'ES256', use: 'sig' }
  await call('/api/v1/attestors', admin, {
    name: 'bench',
    kind: 'oidc',
    issuer,
    audience,
    keys: { jwks: { keys: [jwk] } },
  })
  await call('/api/v1/workloads', admin, {
    name: 'web',
    attestor: 'bench',
    match: { 'oidc:sub': 'web' },
    spiffeId: 'spiffe://bench.example/bench/web',
    grants: { x509: { dnsNames: ['web.bench'] }, jwt: { audiences: ['payments'] } },
    maxSessionSeconds: 7200,
  })
}
