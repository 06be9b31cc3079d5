/** The demo's service `orders`: mutual TLS with its X.509-SVID, and it only serves one SPIFFE ID. */
import { type KeyObject, X509Certificate, createPublicKey, verify } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request } from 'node:https'
import { type PeerCertificate, TLSSocket } from 'node:tls'
import type { X509 } from '@purser/sdk'
import { codeOf } from '../io.ts'

/** The one URI of an X.509-SVID (X509-SVID section 2). */
export function spiffeIdOf(certificate: Pick<X509Certificate, 'subjectAltName'> | undefined): string | undefined {
  const uris = (certificate?.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'))
  return uris.length === 1 ? uris[0]?.slice('URI:'.length) : undefined
}

type Jwks = { keys: { kid?: string }[] }

/** JWT-SVID section 3: signature, audience, subject and expiry. */
export function isJwtOf(
  token: string,
  jwks: Jwks,
  expected: { audience: string; spiffeId: string; now: Date },
): boolean {
  const [head = '', body = '', signature = ''] = token.split('.')
  const part = (text: string): Record<string, unknown> => JSON.parse(Buffer.from(text, 'base64url').toString())
  const { alg, kid } = part(head)
  const jwk = jwks.keys.find((key) => key.kid === kid)
  if (alg !== 'ES256' || !jwk) return false
  const key: KeyObject = createPublicKey({ key: jwk, format: 'jwk' })
  const signed = Buffer.from(`${head}.${body}`)
  if (!verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))) return false
  const { aud, sub, exp } = part(body)
  const audiences = Array.isArray(aud) ? aud : [aud]
  return (
    audiences.includes(expected.audience) && sub === expected.spiffeId && Number(exp) * 1000 > expected.now.getTime()
  )
}

export type Orders = { port: number; stop(): void }

/** @param parts.serves the SPIFFE ID of the only client */
export async function startOrders(parts: { x509: X509; serves: string; jwks: Jwks }): Promise<Orders> {
  const { x509, serves, jwks } = parts
  const tls = { cert: x509.certificateChain, key: x509.privateKey, ca: x509.trustBundle }
  const server = createServer(
    { ...tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
    (message: IncomingMessage, reply: ServerResponse) => {
      const { socket } = message
      const peer = spiffeIdOf(socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined)
      const token = (message.headers.authorization ?? '').replace(/^Bearer /, '')
      const isAllowed =
        peer === serves && isJwtOf(token, jwks, { audience: 'orders', spiffeId: serves, now: new Date() })
      reply.writeHead(isAllowed ? 200 : 403).end(isAllowed ? '3 orders' : `not for ${peer ?? 'unknown clients'}`)
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('orders does not listen')
  return {
    port: address.port,
    stop: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

export type Outcome = { status: number; text: string } | { refused: string }

/** Calls `orders`, with a certificate or without, and verifies that the server is `orders`. */
export function callOrders(
  { port }: Orders,
  as: { x509?: X509; token?: string; roots: string; expects: string },
): Promise<Outcome> {
  const { x509, token, roots, expects } = as
  return new Promise((resolve) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        ca: roots,
        ...(x509 && { cert: x509.certificateChain, key: x509.privateKey }),
        ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
        agent: false,
        // An SVID names no host, so its SPIFFE ID is compared.
        checkServerIdentity: (_: string, peer: PeerCertificate) =>
          spiffeIdOf(new X509Certificate(peer.raw)) === expects ? undefined : new Error(`not ${expects}`),
      },
      (reply) => {
        let text = ''
        reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }))
      },
    )
    outgoing.on('error', (error) => resolve({ refused: codeOf(error) ?? error.message }))
    outgoing.end()
  })
}
