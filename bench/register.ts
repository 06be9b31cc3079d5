/** Registers an issuer, a workload and its secrets for the bench. */
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { exportJWK } from 'jose'
import { audience, issuer, issuerKeys } from './issuing.ts'

type ServerAccess = { port: number; roots: string; dataDir: string }

export type Call = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Record<string, unknown>>

export const caller =
  ({ port, roots }: Pick<ServerAccess, 'port' | 'roots'>, bearer: string): Call =>
  (method, path, body, extraHeaders = {}) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body)
      const headers = {
        authorization: `Bearer ${bearer}`,
        ...(text && { 'content-type': 'application/json' }),
        ...extraHeaders,
      }
      const call = request(
        { host: '127.0.0.1', port, path, method, ca: roots, servername: 'localhost', headers },
        (reply) => {
          let received = ''
          reply.on('data', (chunk: Buffer) => (received += chunk.toString()))
          reply.on('end', () => {
            if ((reply.statusCode ?? 0) < 300) resolve(JSON.parse(received) as Record<string, unknown>)
            else reject(new Error(`${path}: ${reply.statusCode} ${received}`))
          })
        },
      )
      call.on('error', reject).end(text)
    })

/** The secrets under `prod/`, each a password of 32 characters. */
export const secretPaths = Array.from({ length: 50 }, (_, n) => `prod/db-${n}/password`)

/** @returns the admin's API token */
export async function register(server: ServerAccess): Promise<string> {
  const bootstrap = (await readFile(join(server.dataDir, 'bootstrap-token'), 'utf8')).trim()
  const admin = String((await caller(server, bootstrap)('POST', '/api/v1/bootstrap')).token)
  const call = caller(server, admin)
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
