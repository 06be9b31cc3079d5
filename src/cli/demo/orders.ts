/**
 * The demo's service `orders`: mutual TLS with its X.509-SVID, and it serves one SPIFFE ID alone. What a real service does
 * with its certificate is this, in any language.
 */
import { type KeyObject, X509Certificate, createPublicKey, verify } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request } from 'node:https'
import { type PeerCertificate, TLSSocket } from 'node:tls'
import type { X509 } from '@purser/sdk'

/** The one URI of an X.509-SVID (X509-SVID section 2). */
export function spiffeIdOf(certificate: Pick<X509Certificate, 'subjectAltName'> | undefined): string | undefined {
  const uris = (certificate?.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'))
  return uris.length === 1 ? uris[0]?.slice('URI:'.length) : undefined
}

type Jwks = { keys: { kid?: string }[] }

/** JWT-SVID section 3: the signature, then whom it is for, whose it is, and until when. */
export function isJwtOf(token: string, jwks: Jwks, wanted: { audience: string; spiffeId: string; now: Date }): boolean {
  const [head = '', body = '', signature = ''] = token.split('.')
  const part = (text: string): Record<string, unknown> => JSON.parse(Buffer.from(text, 'base64url').toString())
  const { alg, kid } = part(head)
  const jwk = jwks.keys.find((key) => key.kid === kid)
  if (alg !== 'ES256' || !jwk) return false
  const key: KeyObject = createPublicKey({ key: jwk, format: 'jwk' })
  const signed = Buffer.from(`${head}.${body}`)
  if (!verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))) return false
  const { aud, sub, exp } = part(body)
  const named = Array.isArray(aud) ? aud : [aud]
  return named.includes(wanted.audience) && sub === wanted.spiffeId && Number(exp) * 1000 > wanted.now.getTime()
}

export type Orders = { port: number; stop(): void }

/** @param parts.serves the SPIFFE ID that may ask */
export async function startOrders(parts: { x509: X509; serves: string; jwks: Jwks }): Promise<Orders> {
  const { x509, serves, jwks } = parts
  const tls = { cert: x509.certificateChain, key: x509.privateKey, ca: x509.trustBundle }
  const server = createServer(
    { ...tls, requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' },
    (message: IncomingMessage, reply: ServerResponse) => {
      const { socket } = message
      const peer = spiffeIdOf(socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined)
      const token = (message.headers.authorization ?? '').replace(/^Bearer /, '')
      const may = peer === serves && isJwtOf(token, jwks, { audience: 'orders', spiffeId: serves, now: new Date() })
      reply.writeHead(may ? 200 : 403).end(may ? '3 orders' : `not for ${peer ?? 'nobody'}`)
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

/** Calls `orders` as whoever has `x509`, or as nobody, and makes sure that it is `orders`. */
export function callOrders(
  { port }: Orders,
  as: { x509?: X509; token?: string; roots: string; expects: string },
): Promise<Outcome> {
  const { x509, token, roots, expects } = as
  return new Promise((resolve) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        ca: roots,
        ...(x509 && { cert: x509.certificateChain, key: x509.privateKey }),
        ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
        agent: false,
        // An SVID names no host: whose it is decides.
        checkServerIdentity: (_: string, peer: PeerCertificate) =>
          spiffeIdOf(new X509Certificate(peer.raw)) === expects ? undefined : new Error(`not ${expects}`),
      },
      (reply) => {
        let text = ''
        reply.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        reply.on('end', () => resolve({ status: reply.statusCode ?? 0, text }))
      },
    )
    sent.on('error', (error) => resolve({ refused: 'code' in error ? String(error.code) : error.message }))
    sent.end()
  })
}
