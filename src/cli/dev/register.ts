/** The registrations that a first curl needs: the stand-in as an attestor, and its workloads. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Api } from '../api.ts'
import { CliError } from '../io.ts'
import type { StandIn } from '../stand-in.ts'
import { type DevFiles, devWorkloads } from './files.ts'

/** A sample, which web may read. */
export const devSecret = 'dev/web/database'

/** The admin token that was kept, or the one that the first start's bootstrap token is exchanged for. */
export async function adminToken(api: Api, files: DevFiles, dataDir: string): Promise<string> {
  const kept = files.admin()
  if (kept !== undefined) {
    await api.call('GET', '/api/v1/credentials/self', { token: kept }).catch((error: unknown) => {
      if (!(error instanceof CliError)) throw error
      const way = 'stop, run `purser bootstrap --reissue`, remove it, and start again'
      throw new CliError(`${files.adminFile} is no longer taken: ${way}`, error.exitCode)
    })
    return kept
  }
  const bootstrap = readFileSync(join(dataDir, 'bootstrap-token'), 'utf8').trim()
  const { body } = await api.call<{ token: string }>('POST', '/api/v1/bootstrap', { token: bootstrap })
  files.keepAdmin(body.token)
  return body.token
}

/** Creates what isn't there, and leaves what is: it may have been changed since. */
export async function register(
  api: Api,
  token: string,
  standIn: StandIn,
  trustDomain: string,
  audience: string,
): Promise<void> {
  const put = async (path: string, body: unknown): Promise<void> => {
    try {
      await api.call('PUT', path, { token, body, headers: { 'if-match': '"0"' } })
    } catch (error) {
      if (!(error instanceof CliError && error.code === 'stale')) throw error
    }
  }
  await put('/api/v1/attestors/dev', {
    name: 'dev',
    kind: 'oidc',
    issuer: standIn.issuer,
    audience,
    keys: { jwks: standIn.jwks },
  })
  const grants = {
    web: {
      x509: { dnsNames: ['web.dev.internal'] },
      jwt: { audiences: ['orders'] },
      secrets: [{ paths: ['dev/web/**'], actions: ['read', 'list', 'watch'] }],
    },
    orders: { x509: { dnsNames: ['orders.dev.internal'] } },
  }
  const data = { username: 'web', password: randomBytes(24).toString('base64url') }
  await put(`/api/v1/secrets/${devSecret}`, { data })
  for (const name of devWorkloads) {
    await put(`/api/v1/workloads/${name}`, {
      name,
      attestor: 'dev',
      match: { 'oidc:sub': name },
      spiffeId: `spiffe://${trustDomain}/dev/${name}`,
      grants: grants[name],
      maxSessionSeconds: 43_200,
    })
  }
}
