/** A verified server that issues what is not usable, or answers in other types: nothing of it is accepted. */
import * as fc from 'fast-check'
import { type ConnectOptions, PurserError, connect } from '@purser/sdk'
import { describe, expect, test } from 'vitest'
import { secondsFrom } from '../support/test-ca.ts'
import { failing } from './failing.ts'
import { type Fake, type Misbehaviour, proofFor, publicOf, rootPem, startFake } from './fake-purser.ts'

const optionsFor = (fake: Fake, more: ConnectOptions = {}): ConnectOptions => ({
  addr: fake.url,
  ca: { pem: rootPem },
  allowPlainLoopback: true,
  proof: proofFor(),
  env: {},
  onWarning: () => undefined,
  ...more,
})

describe('issued credentials', () => {
  const past = secondsFrom(new Date(), -3600)
  test.each<[string, Misbehaviour, ConnectOptions, RegExp]>([
    ['for another key', { leaf: { otherKey: true } }, {}, /not for this process's key/],
    ['of another SPIFFE ID', { leaf: { spiffeId: 'spiffe://example.org/lab/other' } }, {}, /has another SPIFFE ID/],
    ['already over', { leaf: { now: past, notAfter: secondsFrom(past, 60) } }, {}, /clock says/],
    [
      'a JWT already over',
      { leaf: { now: past, notAfter: secondsFrom(past, 60) } },
      { x509: false, jwts: ['payments'] },
      /clock says/,
    ],
    [
      'of another trust domain',
      { reply: (json) => ({ ...json, spiffeId: 'spiffe://evil.example/lab/web' }) },
      {},
      /trust domain/,
    ],
    ['without the certificate', { reply: ({ x509: _, ...rest }) => rest }, {}, /certificate is missing/],
    ['without the JWT', { reply: ({ jwts: _, ...rest }) => rest }, { jwts: ['payments'] }, /JWTs/],
    [
      'a JWT for others',
      { reply: (json) => ({ ...json, jwts: [{ ...(json.jwts as object[])[0], audience: ['bank'] }] }) },
      { jwts: ['payments'] },
      /JWTs/,
    ],
    [
      'without the access token',
      { reply: ({ accessToken: _, ...rest }) => rest },
      { accessToken: true },
      /access token/,
    ],
    [
      'with more than requested',
      { reply: (json) => ({ ...json, accessToken: { token: 't', id: 'i', expiresAt: '2036-01-01T00:00:00Z' } }) },
      {},
      /was not requested/,
    ],
    [
      'under a root that its bundle lacks',
      { reply: (json) => ({ ...json, x509: { ...(json.x509 as object), trustBundle: leafOf(json) } }) },
      {},
      /does not lead/,
    ],
    [
      'with an end that it does not have',
      { reply: (json) => ({ ...json, x509: { ...(json.x509 as object), notAfter: '2036-01-01T00:00:00Z' } }) },
      {},
      /notAfter/,
    ],
    [
      'with an invalid time',
      { reply: (json) => ({ ...json, x509: { ...(json.x509 as object), renewAfter: 'tomorrow' } }) },
      {},
      /x509\/renewAfter/,
    ],
  ])('%s', async (_, wrong, options, words) => {
    const fake = await startFake(wrong)
    const error = await failing(connect(optionsFor(fake, { ...options, receipts: 'off' })))
    expect(error.code).toBe('bad_reply')
    expect(error.message).toMatch(words)
  })

  const leafOf = (reply: Record<string, unknown>): string => {
    const { certificateChain } = reply.x509 as { certificateChain: string }
    return certificateChain
  }

  test('are accepted when they are correct', async () => {
    const fake = await startFake()
    const purser = await connect(optionsFor(fake, { jwts: ['payments'], accessToken: true }))
    expect(publicOf(purser.x509.privateKey)).toContain('PUBLIC KEY')
    expect(purser.accessToken?.token).toBe('purser_at_fake')
    purser.close()
  })
})

test('any change of a type in an answer is an error of this package, or harmless', async () => {
  let change: (reply: Record<string, unknown>) => unknown = (reply) => reply
  const fake = await startFake({ plain: true, reply: (reply) => change(reply) })
  const options = optionsFor(fake, { jwts: ['payments'], accessToken: true, databases: ['orders'], receipts: 'warn' })
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.jsonValue({ maxDepth: 2 }), async (n, value) => {
      change = (reply) => replaceOne(reply, n, value)
      const purser = await connect(options).catch((error: unknown) => {
        expect(error).toBeInstanceOf(PurserError)
        return undefined
      })
      purser?.close()
    }),
    { numRuns: 150 },
  )
  await fake.drained()
}, 30_000)

/** The reply with the n-th of all its values replaced. */
function replaceOne(reply: unknown, n: number, value: unknown): unknown {
  const paths: string[][] = []
  const walk = (node: unknown, path: string[]): void => {
    paths.push(path)
    if (typeof node === 'object' && node !== null)
      for (const [key, child] of Object.entries(node)) walk(child, [...path, key])
  }
  walk(reply, [])
  const path = paths[n % paths.length] ?? []
  const put = (node: unknown, [key, ...rest]: string[]): unknown => {
    if (key === undefined) return value
    if (Array.isArray(node)) return node.map((child: unknown, at) => (String(at) === key ? put(child, rest) : child))
    const members = { ...(node as object) } as Record<string, unknown>
    return { ...members, [key]: put(members[key], rest) }
  }
  return put(reply, path)
}
