/** The demo's workloads: registered by an operator, started by the stand-in, given an identity by Purser. */
import { type Purser, PurserError, connect } from '@purser/sdk'
import type { Stage } from './stage.ts'

export const names = ['web', 'orders', 'batch'] as const
export type Name = (typeof names)[number]

/** Whom each may send a JWT to. */
const audiences: Record<Name, string> = { web: 'orders', orders: 'payments', batch: 'orders' }

export const idOf = ({ trustDomain }: Pick<Stage, 'trustDomain'>, name: Name): string =>
  `spiffe://${trustDomain}/stand-in/${name}`

export async function register(stage: Stage): Promise<void> {
  const { api, standIn, audience } = stage
  const attestor = { name: 'stand-in', kind: 'oidc', issuer: standIn.issuer, audience, keys: { jwks: standIn.jwks } }
  await api.call('POST', '/api/v1/attestors', { body: attestor })
  for (const name of names) {
    const body = {
      name,
      attestor: 'stand-in',
      match: { 'oidc:sub': name },
      spiffeId: idOf(stage, name),
      grants: { x509: { maxLifetimeSeconds: 3600 }, jwt: { audiences: [audiences[name]], maxLifetimeSeconds: 300 } },
    }
    await api.call('POST', '/api/v1/workloads', { body })
  }
}

/** As a container does at its start: the token that it was given, one request, everything verified. */
export function attest(stage: Stage, name: Name): Promise<Purser> {
  return connect({ ...connection(stage), proof: tokenOf(stage, name), jwts: [audiences[name]] })
}

/** One that nobody registered. Answers what it was told. */
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
