/** The demo's workloads: registered by an operator, and started by the stand-in. */
import { type Purser, PurserError, connect } from '@purser/sdk'
import type { Schemas } from '../api-types.ts'
import type { Database } from './database.ts'
import type { Stage } from './stage.ts'

export const names = ['web', 'orders', 'batch'] as const
export type Name = (typeof names)[number]

/** The audience of each workload's JWTs. */
const audiences: Record<Name, string> = { web: 'orders', orders: 'payments', batch: 'orders' }

export const idOf = ({ trustDomain }: Pick<Stage, 'trustDomain'>, name: Name): string =>
  `spiffe://${trustDomain}/stand-in/${name}`

/** The secret with the credential for the database of orders. */
export const secretPath = 'orders/db'

const secretsOf = ({ database }: Pick<Stage, 'database'>, name: Name): string[] =>
  name === 'orders' && !('missing' in database) ? [secretPath] : []

export async function register(stage: Stage): Promise<void> {
  const { api, standIn, audience, database } = stage
  const keys = { jwks: standIn.jwks }
  await api.call('POST', '/api/v1/attestors', {
    body: { name: 'stand-in', kind: 'oidc', issuer: standIn.issuer, audience, keys },
  })
  if (!('missing' in database)) await registerDatabase(stage, database)
  for (const name of names) {
    const paths = secretsOf(stage, name)
    const body: Schemas['WorkloadSpec'] = {
      name,
      attestor: 'stand-in',
      match: { 'oidc:sub': name },
      spiffeId: idOf(stage, name),
      grants: {
        x509: { maxLifetimeSeconds: 3600 },
        jwt: { audiences: [audiences[name]], maxLifetimeSeconds: 300 },
        ...(paths.length > 0 && { secrets: [{ paths, actions: ['read', 'watch'] }] }),
      },
      // Long enough for any demo.
      maxSessionSeconds: 43_200,
    }
    await api.call('POST', '/api/v1/workloads', { body })
  }
}

/** Registers the database, its credential and a rotation policy: two roles alternate, and the old one waits for its consumers. */
async function registerDatabase({ api }: Stage, { host, port, database, name, admin, first }: Database): Promise<void> {
  const owner = `${name}_owner`
  const roles = [first.username, `${name}_b`]
  const insecure = host === 'localhost' || host.startsWith('127.')
  const definition: Schemas['DatabaseSpec'] = {
    name,
    kind: 'postgres',
    host,
    port,
    database,
    tls: insecure ? { insecure } : {},
    admin,
    roles: { grants: [{ schema: name, objects: 'tables', privileges: ['select'] }] },
    rotation: { owners: [owner], roles },
    defaultLifetimeSeconds: 600,
    maxLifetimeSeconds: 3600,
  }
  await api.call('POST', '/api/v1/databases', { body: definition })
  const secret = { path: { path: secretPath }, ifMatch: 0 }
  await api.call('PUT', '/api/v1/secrets/{path}', { ...secret, body: { data: first } })
  const policy: Schemas['RotationPolicySpec'] = {
    rotator: { kind: 'postgres', database: name, owner, roles, create: true },
    deadlineSeconds: 3600,
    onDeadline: 'hold',
    moved: 'acknowledged',
  }
  await api.call('PUT', '/api/v1/secrets/{path}:rotation', { ...secret, body: policy })
}

/** Attests as a container does at its start: its token, one request, everything verified. */
export async function attest(stage: Stage, name: Name): Promise<Purser> {
  const request = { jwts: [audiences[name]], secrets: secretsOf(stage, name) }
  const purser = await connect({ ...connection(stage), proof: tokenOf(stage, name), ...request })
  stage.atEnd(() => purser.close())
  return purser
}

/** Attests as an unregistered workload, and returns the refusal. */
export async function attestStranger(stage: Stage, name: string): Promise<PurserError> {
  try {
    const purser = await connect({ ...connection(stage), proof: tokenOf(stage, name) })
    purser.close()
  } catch (error) {
    if (error instanceof PurserError) return error
    throw error
  }
  throw new Error(`${name} was let in`)
}

const connection = ({ url, roots, vkeys }: Stage) => ({ addr: url, ca: { pem: roots }, logKey: vkeys, env: {} })

const tokenOf = ({ standIn, audience }: Stage, subject: string): string =>
  standIn.token(subject, { audience, seconds: 600 })
