/** Workloads that hold a secret: several instances of one entry, each with its own session, by the test's clock. */
import { type Clock } from './clock.ts'
import { type Issuer, createIssuer, registerLab } from './issuer.ts'
import type { Answer, TestPurser } from './purser.ts'

export type Pod = {
  session: string
  /** Its access token. */
  token: string
  /** The value of its last fetch. */
  held: () => { version: number; data: Record<string, unknown> } | undefined
  fetch(more?: string): Promise<Answer>
  ack(version: number, path?: string): Promise<Answer>
  leave(): Promise<Answer>
}

export type Pods = { issuer: Issuer; start: (name: string) => Promise<Pod> }

/**
 * Access tokens last for an hour. A new attestation by this issuer is another session.
 * @param names of the instances of the entry `shop`, which may read `prod/**`
 */
export async function createPods(
  purser: TestPurser,
  clock: Clock,
  names: readonly string[],
  more: Record<string, unknown> = {},
): Promise<Pods> {
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'shop',
    attestor: 'lab',
    match: { 'oidc:sub': names },
    spiffeId: 'spiffe://example.org/lab/shop',
    grants: { secrets: [{ paths: ['prod/**'], actions: ['read', 'list', 'watch'] }] },
    maxSessionSeconds: 30 * 86_400,
    ...more,
  })
  return { issuer, start: (name) => startPod(purser, clock, issuer, name) }
}

async function startPod(purser: TestPurser, clock: Clock, issuer: Issuer, sub: string): Promise<Pod> {
  let current: ReturnType<Pod['held']>
  const now = clock.seconds()
  const proof = { kind: 'jwt', token: await issuer.token({ sub, iat: now, exp: now + 600 }) }
  const { status, body, text } = await purser.call('POST', '/api/v1/credentials', { proof, accessToken: {} })
  if (status !== 200) throw new Error(`not let in: ${text}`)
  const { token } = body['accessToken'] as { token: string }
  const session = (body['session'] as { id: string }).id

  return {
    session,
    token,
    held: () => current,
    async fetch(rest = 'db') {
      const answer = await purser.call('GET', `/api/v1/secrets/prod/${rest}`, undefined, { token })
      const { version, data } = answer.body
      if (answer.status === 200) current = { version: Number(version), data: data as Record<string, unknown> }
      return answer
    },
    ack: async (version, path = 'prod/db') =>
      purser.call('POST', `/api/v1/secrets/${path}:ack`, { version }, { token }),
    leave: async () => purser.call('DELETE', '/api/v1/credentials/self', undefined, { token }),
  }
}
