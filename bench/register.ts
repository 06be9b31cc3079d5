/** What the bench's server knows: an issuer, one workload, its secrets. */
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { exportJWK } from 'jose'
import { audience, issuer, issuerKeys } from './issuing.ts'

type Place = { port: number; roots: string; dataDir: string }

type Call = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Record<string, unknown>>

const caller =
  ({ port, roots }: Place, bearer: string): Call =>
  (method, path, body, more = {}) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body)
      const headers = {
        authorization: `Bearer ${bearer}`,
        ...(text && { 'content-type': 'application/json' }),
        ...more,
      }
      const sent = request(
        { host: '127.0.0.1', port, path, method, ca: roots, servername: 'localhost', headers },
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

/** How many secrets there are under `prod/`, each a password of 32 characters. */
export const secretPaths = Array.from({ length: 50 }, (_, n) => `prod/db-${n}/password`)

/** Registers the bench's issuer, one workload and its secrets. Answers with the admin's token. */
export async function register(place: Place): Promise<string> {
  const bootstrap = (await readFile(join(place.dataDir, 'bootstrap-token'), 'utf8')).trim()
  const admin = String((await caller(place, bootstrap)('POST', '/api/v1/bootstrap')).token)
  const call = caller(place, admin)
  const keys = await Promise.all(
    Object.entries(issuerKeys).map(async ([alg, { publicKey }]) => ({
      ...(await exportJWK(publicKey)),
      kid: alg,
      alg,
      use: 'sig',
    })),
  )
  await call('POST', '/api/v1/attestors', {
    name: 'bench',
    kind: 'oidc',
    issuer,
    audience,
    keys: { jwks: { keys } },
  })
  await call('POST', '/api/v1/workloads', {
    name: 'web',
    attestor: 'bench',
    match: { 'oidc:sub': 'web' },
    spiffeId: 'spiffe://bench.example/bench/web',
    grants: {
      x509: { dnsNames: ['web.bench'] },
      jwt: { audiences: ['payments'] },
      secrets: [{ paths: ['prod/**'], actions: ['read'] }],
    },
    maxSessionSeconds: 7200,
  })
  for (const path of secretPaths) {
    await call('PUT', `/api/v1/secrets/${path}`, { data: { password: 'x'.repeat(32) } }, { 'if-match': '"0"' })
  }
  return admin
}
