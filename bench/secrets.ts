/** The measured requests for secrets: recorded reads, alone and beside writes, and a whole startup in one request or five. */
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

const attest = async (credentials: object): Promise<string> =>
  httpRequest('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token: await token() }, ...credentials })

const read = (n: number, bearer: string): string =>
  httpRequest('GET', `/api/v1/secrets/${pathOf(n)}`, undefined, { authorization: `Bearer ${bearer}` })

/** A write of a secret that no other write of the same `group` and version has, so that no precondition fails. */
const write = (n: number, bearer: string, group = 'written', version = 0): string =>
  httpRequest(
    'PUT',
    `/api/v1/secrets/${group}/${process.pid}/${n}`,
    { data: { password: 'y'.repeat(32) } },
    { authorization: `Bearer ${bearer}`, 'if-match': `"${version}"` },
  )

const many = <T>(length: number, create: (n: number) => T): T[] => Array.from({ length }, (_, n) => create(n))

export const reads = (count: number, bearer: string): string[] => many(count, (n) => read(n, bearer))

/** Every tenth request writes a new secret of the group. */
export const mixedReads = (count: number, bearer: string, admin: string, group: string): string[] =>
  many(count, (n) => (n % 10 === 9 ? write(n, admin, group) : read(n, bearer)))

/** Reads at a steady rate, the same with writes, and as many reads as the server answers. */
function readCases(count: number, bearer: string, admin: string): SecretCase[] {
  const steady = { perSecond: 500, connections: 64 }
  const some = Math.min(count, 10_000)
  return [
    { name: 'reads, steady 500 a second', ...steady, requests: reads(some, bearer) },
    { name: 'the same with 10 % writes', ...steady, requests: mixedReads(some, bearer, admin, 'mixed') },
    { name: 'reads, as many as go', connections: 64, requests: reads(count, bearer) },
  ]
}

/** Writes of new secrets, and of the same ones again. */
export const writeCases = (count: number, admin: string, group: number): SecretCase[] =>
  [16, 64].flatMap((connections) => {
    const at = (version: number) => many(count, (n) => write(n, admin, `w${group}-${connections}`, version))
    return [
      { name: `writes of new secrets ${connections}c`, connections, requests: at(0) },
      { name: `writes of existing secrets ${connections}c`, connections, requests: at(1) },
    ]
  })

const three = [0, 1, 2].map(pathOf)

/** The start of a container: attestation, certificate, JWT, three secrets. */
const inOne = (): Promise<string> => attest({ x509: { csr }, jwts: [{ audience: ['payments'] }], secrets: three })

export const startups = (count: number): Promise<string[]> => Promise.all(many(count, inOne))

/** The same in single requests: login, certificate and JWT, three reads. */
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
 * @param admin an operator's API token
 */
export async function secretCases(count: number, bearer: string, admin: string): Promise<SecretCase[]> {
  return [
    ...readCases(count, bearer, admin),
    ...writeCases(count / 4, admin, 0),
    { name: 'startup in one request', connections: 16, requests: await startups(count / 2) },
    { name: 'startup in five requests', connections: 16, requests: await Promise.all(many(count / 4, inFive)) },
  ]
}

/** A request whose reply has an access token of the bench's workload. */
export const login = (): Promise<string> => attest({ accessToken: {} })
