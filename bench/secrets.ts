/** What is measured of secrets: recorded reads, alone and beside writes, and a whole startup in one request or in five. */
import { httpRequest, newCsr, token } from './issuing.ts'
import type { LoadJob } from './load.ts'
import { secretPaths } from './register.ts'

export type SecretCase = {
  name: string
  requests: LoadJob['requests']
  connections: number
  perSecond?: number
}

const csr = newCsr()
const pathOf = (n: number): string => secretPaths[n % secretPaths.length] ?? ''

const attest = async (asked: object): Promise<string> =>
  httpRequest('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token: await token() }, ...asked })

const read = (n: number, bearer: string): string =>
  httpRequest('GET', `/api/v1/secrets/${pathOf(n)}`, undefined, { authorization: `Bearer ${bearer}` })

/** Each write is of a secret of its own, so that none meets a stale precondition. */
const write = (n: number, bearer: string): string =>
  httpRequest(
    'PUT',
    `/api/v1/secrets/written/${process.pid}/${n}`,
    { data: { password: 'y'.repeat(32) } },
    { authorization: `Bearer ${bearer}`, 'if-match': '"0"' },
  )

const three = [0, 1, 2].map(pathOf)

/** One container's start: attestation, certificate, JWT, three secrets. */
const inOne = (): Promise<string> => attest({ x509: { csr }, jwts: [{ audience: ['payments'] }], secrets: three })

/** The same made one by one: login, certificate and JWT, three reads. */
async function inFive(): Promise<string[]> {
  const header = { authorization: 'Bearer {token}' }
  return [
    await attest({ accessToken: {} }),
    await attest({ x509: { csr }, jwts: [{ audience: ['payments'] }] }),
    ...three.map((path) => httpRequest('GET', `/api/v1/secrets/${path}`, undefined, header)),
  ]
}

/**
 * @param bearer an access token
 * @param admin an operator's
 */
export async function secretCases(count: number, bearer: string, admin: string): Promise<SecretCase[]> {
  const many = <T>(of: number, one: (n: number) => T): T[] => Array.from({ length: of }, (_, n) => one(n))
  const steady = Math.min(count, 10_000)
  return [
    {
      name: 'reads, steady 500 a second',
      perSecond: 500,
      connections: 64,
      requests: many(steady, (n) => read(n, bearer)),
    },
    {
      name: 'the same with 10 % writes',
      perSecond: 500,
      connections: 64,
      requests: many(steady, (n) => (n % 10 === 9 ? write(n, admin) : read(n, bearer))),
    },
    { name: 'reads, as many as go', connections: 64, requests: many(count, (n) => read(n, bearer)) },
    { name: 'startup in one request', connections: 16, requests: await Promise.all(many(count / 2, inOne)) },
    { name: 'startup in five requests', connections: 16, requests: await Promise.all(many(count / 4, inFive)) },
  ]
}

/** An access token of the bench's workload, from the reply to this. */
export const login = (): Promise<string> => attest({ accessToken: {} })
