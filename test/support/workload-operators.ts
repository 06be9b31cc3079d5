/** Workloads that act as operators: an entry with the grant, and an access token of one job. */
import { expect } from 'vitest'
import type { Issuer } from './issuer.ts'
import { type Ask, fault } from './operator.ts'
import type { TestPurser } from './purser.ts'

export type OperatorGrant = { role: string; bound: object | 'everything'; routes?: string[] }

/** An entry at the attestor `lab` for the subject of its name. */
export const pipeline = (name: string, operator: object | undefined, more: object = {}) => ({
  name,
  attestor: 'lab',
  match: { 'oidc:sub': name },
  spiffeId: `spiffe://example.org/lab/${name}`,
  grants: { ...(operator && { operator }) },
  ...more,
})

export type Job = { token: string; session: string }

export async function startJob(purser: Pick<TestPurser, 'call'>, issuer: Issuer, sub: string): Promise<Job> {
  const proof = { kind: 'jwt', token: await issuer.token({ sub }) }
  const answer = await purser.call('POST', '/api/v1/credentials', { proof, accessToken: {} })
  expect(answer.status, answer.text).toBe(200)
  const { accessToken, session } = answer.body as unknown as { accessToken: { token: string }; session: { id: string } }
  return { token: accessToken.token, session: session.id }
}

/** Writes the entry as the admin, and starts a job of it. */
export async function operatorJob(
  purser: Pick<TestPurser, 'call'>,
  ask: Ask,
  issuer: Issuer,
  { name, grant, more }: { name: string; grant: OperatorGrant; more?: object },
): Promise<Job> {
  const created = await ask('createWorkload', { body: pipeline(name, grant, more) })
  expect(fault(created), created.text).toBe('201 ')
  return startJob(purser, issuer, name)
}
