/** Registers the stand-in as an attestor, its workloads and a sample secret. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Api } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import { CliError } from '../io.ts'
import type { StandIn } from '../stand-in.ts'
import { type DevFiles, type DevWorkload, devWorkloads } from './files.ts'

/** A sample secret, which web may read. */
export const devSecret = 'dev/web/database'

/** The stored admin token, or a new one in exchange for the bootstrap token. */
export async function adminToken(api: Api, files: DevFiles, dataDir: string): Promise<string> {
  const stored = files.admin()
  if (stored !== undefined) {
    await api.call('GET', '/api/v1/credentials/self', { token: stored }).catch((error: unknown) => {
      if (!(error instanceof CliError)) throw error
      const remedy = 'stop, delete the file, run `purser bootstrap --reissue`, and start again'
      throw new CliError(`the token in ${files.adminFile} is no longer valid: ${remedy}`, error.exitCode)
    })
    return stored
  }
  const bootstrap = readFileSync(join(dataDir, 'bootstrap-token'), 'utf8').trim()
  const { body } = await api.call('POST', '/api/v1/bootstrap', { token: bootstrap })
  files.keepAdmin(body.token)
  return body.token
}

/** Creates what is missing. Existing objects stay, since they may have been changed. */
export async function register(
  api: Api,
  token: string,
  standIn: StandIn,
  trustDomain: string,
  audience: string,
): Promise<void> {
  const once = { token, ifMatch: 0 }
  const attestor = {
    name: 'dev',
    kind: 'oidc',
    issuer: standIn.issuer,
    audience,
    keys: { jwks: standIn.jwks },
  } as const
  await unlessPresent(api.call('PUT', '/api/v1/attestors/{name}', { path: { name: 'dev' }, body: attestor, ...once }))
  const grants: Record<DevWorkload, Schemas['Grants']> = {
    web: {
      x509: { dnsNames: ['web.dev.internal'] },
      jwt: { audiences: ['orders'] },
      secrets: [{ paths: ['dev/web/**'], actions: ['read', 'list', 'watch'] }],
    },
    orders: { x509: { dnsNames: ['orders.dev.internal'] } },
  }
  const data = { username: 'web', password: randomBytes(24).toString('base64url') }
  await unlessPresent(api.call('PUT', '/api/v1/secrets/{path}', { path: { path: devSecret }, body: { data }, ...once }))
  for (const name of devWorkloads) {
    const workload = {
      name,
      attestor: 'dev',
      match: { 'oidc:sub': name },
      spiffeId: `spiffe://${trustDomain}/dev/${name}`,
      grants: grants[name],
      maxSessionSeconds: 43_200,
    }
    await unlessPresent(api.call('PUT', '/api/v1/workloads/{name}', { path: { name }, body: workload, ...once }))
  }
}

async function unlessPresent(write: Promise<unknown>): Promise<void> {
  await write.catch((error: unknown) => {
    if (!(error instanceof CliError && error.code === 'stale')) throw error
  })
}
