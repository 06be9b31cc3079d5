/** Workloads with a certificate, over real mTLS: they attest, renew and read their identity. */
import { generateKeyPairSync } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import type { Issuer } from './issuer.ts'
import type { Answer, CallOptions, TestPurser } from './purser.ts'

export type Svid = { key: string; cert: string; serialNumber: string; session: string; notAfter: string }

type Request = { csr: string; key: string }
type Body = { x509: { certificateChain: string; serialNumber: string; notAfter: string }; session: { id: string } }

/** A new key and its request. */
export function newRequest(): Request {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { csr: createCsr(privateKey), key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}

export function svidOf({ body, text }: Answer, { key }: Pick<Request, 'key'>): Svid {
  const { x509, session } = body as unknown as Partial<Body>
  if (!x509 || !session) throw new Error(text)
  const { certificateChain: cert, serialNumber, notAfter } = x509
  return { key, cert, serialNumber, notAfter, session: session.id }
}

/** A new pod or job, unless `token` belongs to another. */
export async function attest(at: TestPurser, issuer: Issuer, token?: string): Promise<Svid> {
  const request = newRequest()
  const proof = { kind: 'jwt', token: token ?? (await issuer.token()) }
  const body = { proof, workload: 'web', x509: { csr: request.csr } }
  return svidOf(await at.call('POST', '/api/v1/credentials', body), request)
}

/** @param more members of the request beside the proof */
export const renew = (
  at: TestPurser,
  client: Svid,
  more: Record<string, unknown>,
  options: CallOptions = {},
): Promise<Answer> =>
  at.call('POST', '/api/v1/credentials', { proof: { kind: 'x509' }, ...more }, { client, ...options })

export const selfOf = (at: TestPurser, client: Svid): Promise<Answer> =>
  at.call('GET', '/api/v1/credentials/self', undefined, { client })
