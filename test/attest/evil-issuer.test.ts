/**
 * Hostile issuers, over real TLS (docs/threat-model.md, Issuer): whatever one answers, Purser accepts no forged proof,
 * contacts no other host and sends its credentials nowhere else.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { generateKeyPairSync } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createAttestor } from '../../src/attest/kinds.ts'
import { createOutbound } from '../../src/outbound/client.ts'
import { type Identities, type TestServer, httpServer, httpsServer, makeIdentities } from '../outbound/tls-server.ts'
import { attestText, audience, codeOf, craft, jwkOf, now, partsFor, plain, rs256, rsa } from './tokens.ts'

let ids: Identities
beforeAll(() => {
  ids = makeIdentities()
})

const evil = generateKeyPairSync('rsa', { modulusLength: 2048 })
const goodKey = jwkOf(rsa.publicKey, { kid: 'r1', alg: 'RS256' })
const evilKey = jwkOf(evil.publicKey, { kid: 'r1', alg: 'RS256' })

type Answer = (path: string, response: ServerResponse, request: IncomingMessage) => void
const json = (response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
}
const routed =
  (answer: Answer): RequestListener =>
  (request, response) =>
    answer(request.url ?? '', response, request)

const document = '/.well-known/openid-configuration'
const origin = ({ port }: TestServer): string => `https://localhost:${port}`

/** An issuer on loopback that PURSER_FETCH_ALLOW lists, and the attestor that trusts it. */
async function start(answer: (self: () => string) => Answer, more: { identity?: 'good' | 'otherCa' | 'expired' } = {}) {
  let url = ''
  const server = await httpsServer(ids[more.identity ?? 'good'], routed(answer(() => url)))
  url = origin(server)
  const outbound = createOutbound({ allow: [url] })
  onTestFinished(() => outbound.close())
  const { parts, logLines, clock } = partsFor(outbound)
  const definition = {
    name: 'lab', kind: 'oidc', issuer: url, audience, spiffeIdPrefix: '/lab/', keys: { discovery: true },
    caPem: ids.ca, maxTokenAgeSeconds: 3600, singleUse: false, otherAudiences: 'refuse',
  } // prettier-ignore
  const row = { id: 'att_1', name: 'lab', kind: 'oidc', issuer: url, audience, spiffeIdPrefix: '/lab/', definition, revision: 1 } // prettier-ignore
  const attestor = createAttestor(row, parts)
  const token = (pair = evil, claims = {}) =>
    craft({ alg: 'RS256', kid: 'r1' }, plain({ iss: url, ...claims }), rs256(pair.privateKey))
  return { server, attestor, token, logLines, clock, url }
}

const honest =
  (self: () => string): Answer =>
  (path, response) =>
    path === document
      ? json(response, { issuer: self(), jwks_uri: `${self()}/keys` })
      : json(response, { keys: [goodKey] })

it('an honest issuer is trusted, and a forged proof of it is refused', async () => {
  const { attestor, token, server } = await start(honest)
  expect(await codeOf(attestText(attestor, token(rsa), now))).toBe('accepted')
  expect(await codeOf(attestText(attestor, token(evil), now))).toBe('proof_signature')
  expect(server.requests.map(({ url }) => url)).toEqual([document, '/keys'])
  expect(await attestor.check(now)).toEqual([{ ok: true, what: 'discovery and keys', detail: '1 usable' }])
})

describe('a hostile issuer', () => {
  let other: TestServer
  let otherUrl = ''
  const behaviours: [string, (self: () => string) => Answer, string][] = [
    ['names another issuer in its document', () => (path, response) =>
      path === document ? json(response, { issuer: 'https://elsewhere.example', jwks_uri: `${otherUrl}/keys` }) : json(response, { keys: [evilKey] }), 'unavailable'],
    ['names itself with a slash at the end', (self) => (path, response) =>
      path === document ? json(response, { issuer: `${self()}/`, jwks_uri: `${self()}/keys` }) : json(response, { keys: [evilKey] }), 'unavailable'],
    ['names keys at another host', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${otherUrl}/keys` }) : json(response, { keys: [evilKey] }), 'unavailable'],
    ['names keys at a host that only looks like its own', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${self()}@localhost:${new URL(otherUrl).port}/keys` }) : json(response, { keys: [evilKey] }), 'unavailable'],
    ['names keys over plain http', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${self().replace('https', 'http')}/keys` }) : json(response, { keys: [evilKey] }), 'unavailable'],
    ['names the metadata service', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: 'https://169.254.169.254/latest/meta-data' }) : json(response, { keys: [evilKey] }), 'unavailable'],
    ['names a file', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: 'file:///etc/passwd' }) : json(response, { keys: [evilKey] }), 'unavailable'],
    ['names keys by a list', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: [`${self()}/keys`] }) : json(response, { keys: [evilKey] }), 'unavailable'],
    ['redirects its document', () => (_path, response) => response.writeHead(302, { location: `${otherUrl}${document}` }).end(), 'unavailable'],
    ['redirects its keys', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${self()}/keys` }) : response.writeHead(307, { location: `${otherUrl}/keys` }).end(), 'unavailable'],
    ['has its issuer twice', (self) => (path, response) =>
      path === document
        ? response.end(`{"issuer":"${self()}","issuer":"${self()}","jwks_uri":"${self()}/keys"}`)
        : json(response, { keys: [evilKey] }), 'unavailable'],
    ['answers with a page', () => (_path, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'), 'unavailable'],
    ['answers with a list', () => (_path, response) => json(response, [evilKey]), 'unavailable'],
    ['answers 500', () => (_path, response) => response.writeHead(500).end('{}'), 'unavailable'],
    ['answers 64 MiB', (self) => (path, response) => {
      if (path === document) return json(response, { issuer: self(), jwks_uri: `${self()}/keys` })
      const piece = Buffer.alloc(65_536, 0x20)
      const more = (): void => {
        while (!response.destroyed && response.write(piece));
      }
      response.on('drain', more)
      more()
    }, 'unavailable'],
    ['answers compressed', () => (_path, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}')), 'unavailable'],
    ['answers 40,000 levels deep', () => (_path, response) => response.end('['.repeat(40_000)), 'unavailable'],
    ['cuts its answer off', () => (_path, response) => {
      response.writeHead(200, { 'content-length': '500' }).write('{"issuer"')
      setImmediate(() => response.destroy())
    }, 'unavailable'],
    ['publishes no list of keys', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${self()}/keys` }) : json(response, { keys: { r1: goodKey } }), 'unavailable'],
    ['publishes private keys', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${self()}/keys` }) : json(response, { keys: [jwkOf(evil.privateKey, { kid: 'r1', alg: 'RS256' })] }), 'proof_key_unknown'],
    ['publishes symmetric keys', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${self()}/keys` }) : json(response, { keys: [{ kty: 'oct', kid: 'r1', k: 'AAAA' }] }), 'proof_key_unknown'],
    ['publishes a weak key', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${self()}/keys` }) : json(response, { keys: [{ ...evilKey, e: 'AQ' }] }), 'proof_key_unknown'],
    ['publishes no keys at all', (self) => (path, response) =>
      path === document ? json(response, { issuer: self(), jwks_uri: `${self()}/keys` }) : json(response, { keys: [] }), 'proof_key_unknown'],
  ] // prettier-ignore

  it.each(behaviours)('%s', async (_, answer, code) => {
    other = await httpsServer(ids.good, routed((_path, response) => json(response, { keys: [evilKey] })))
    otherUrl = origin(other)
    const { attestor, token, server, logLines } = await start(answer)
    expect(await codeOf(attestText(attestor, token(evil), now))).toBe(code)
    expect(other.connections()).toBe(0)
    expect(server.requests.every(({ headers }) => headers.authorization === undefined && headers.cookie === undefined)).toBe(true)
    const [finding] = await attestor.check(now)
    expect(finding?.ok).toBe(false)
    expect(logLines.length).toBeGreaterThan(0)
  }) // prettier-ignore

  it('hangs: the proof waits at most five seconds, as do concurrent ones', async () => {
    const outboundWaits: ServerResponse[] = []
    const { attestor, token } = await start(() => (_path, response) => void outboundWaits.push(response))
    const all = await Promise.all(Array.from({ length: 20 }, () => codeOf(attestText(attestor, token(evil), now))))
    expect(new Set(all)).toEqual(new Set(['unavailable']))
    expect(outboundWaits).toHaveLength(1)
  })

  it.each(['otherCa', 'expired'] as const)('has an invalid certificate (%s)', async (identity) => {
    const { attestor, token, server } = await start(honest, { identity })
    expect(await codeOf(attestText(attestor, token(rsa), now))).toBe('unavailable')
    expect(server.requests).toHaveLength(0)
  })

  it('names another host in the token header: Purser sends it no request', async () => {
    const evilServer = await httpServer((_request, response) => response.end(JSON.stringify({ keys: [evilKey] })))
    const { attestor, url } = await start(honest)
    for (const header of [{ jku: `http://127.0.0.1:${evilServer.port}/` }, { x5u: `http://127.0.0.1:${evilServer.port}/` }, { jwk: evilKey }, { x5c: ['AA'] }]) {
      const token = craft({ alg: 'RS256', kid: 'r1', ...header }, plain({ iss: url }), rs256(evil.privateKey))
      expect(await codeOf(attestText(attestor, token, now))).toBe('proof_header')
    }
    expect(evilServer.connections()).toBe(0)
  }) // prettier-ignore
})

describe('a private address', () => {
  it('is not fetched for an issuer unless PURSER_FETCH_ALLOW lists it', async () => {
    const server = await httpsServer(ids.good, routed(honest(() => 'https://x')))
    const outbound = createOutbound({ allow: [] })
    onTestFinished(() => outbound.close())
    const { parts } = partsFor(outbound)
    for (const keys of [{ discovery: true }, { jwksUrl: `${origin(server)}/keys` }]) {
      const definition = { name: 'lab', kind: 'oidc', issuer: origin(server), audience, keys, caPem: ids.ca, maxTokenAgeSeconds: 60, otherAudiences: 'refuse' } // prettier-ignore
      const row = { id: 'att_1', name: 'lab', kind: 'oidc', spiffeIdPrefix: '/lab/', definition, revision: 1 }
      const attestor = createAttestor(row, parts)
      const token = craft({ alg: 'RS256', kid: 'r1' }, plain({ iss: origin(server) }), rs256())
      expect(await codeOf(attestText(attestor, token, now))).toBe('unavailable')
    }
    expect(server.connections()).toBe(0)
  })
})
