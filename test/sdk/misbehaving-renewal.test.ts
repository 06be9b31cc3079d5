/**
 * A server that was correct at connect() misbehaves before the renewal. The client serves the held credentials until
 * they end, accepts nothing false, retries at a bounded rate, sends no proof to a stranger, and recovers by itself.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type PurserError, connect } from '@purser/sdk'
import { expect, test } from 'vitest'
import { type Misbehaviour, identities, proofFor, rootFingerprint, startFake } from './fake-purser.ts'

const path = '/api/v1/credentials'
const json = { 'content-type': 'application/json' }
const problem = (code: string): string => JSON.stringify({ code, title: code })

const on =
  (act: (response: ServerResponse) => void): NonNullable<Misbehaviour['handle']> =>
  ({ url }, response) => {
    if (url !== path) return false
    act(response)
    return true
  }

const x509Of = (reply: Record<string, unknown>): Record<string, unknown> => reply.x509 as Record<string, unknown>

type Case = {
  wrong?: Misbehaviour
  /** Presented to new connections. */
  identity?: typeof identities.good
  fork?: boolean
  code: string
}

const cases: Record<string, Case> = {
  hangs: { wrong: { handle: on(() => undefined) }, code: 'timeout' },
  'sends half a body': {
    wrong: {
      handle: on(
        (response) =>
          void response.writeHead(200, { ...json, 'content-length': 900 }).write('{"spi', () => response.destroy()),
      ),
    },
    code: 'incomplete',
  },
  'sends other types': { wrong: { reply: (reply) => ({ ...reply, session: [] }) }, code: 'bad_reply' },
  'sends no JSON': {
    wrong: { handle: on((response) => void response.writeHead(200, json).end('<html>')) },
    code: 'bad_reply',
  },
  'issues for another trust domain': {
    wrong: { reply: (reply) => ({ ...reply, spiffeId: 'spiffe://evil.example/lab/web' }) },
    code: 'bad_reply',
  },
  'issues for another workload': { wrong: { leaf: { spiffeId: 'spiffe://example.org/lab/other' } }, code: 'bad_reply' },
  'issues what has ended': {
    wrong: { leaf: { now: new Date(Date.now() - 7200_000), notAfter: new Date(Date.now() - 3600_000) } },
    code: 'bad_reply',
  },
  'issues for another key': { wrong: { leaf: { otherKey: true } }, code: 'bad_reply' },
  'sends another chain': {
    wrong: { reply: (reply) => ({ ...reply, x509: { ...x509Of(reply), trustBundle: identities.wrongRoot.cert } }) },
    code: 'bad_reply',
  },
  'forges the receipt': {
    wrong: {
      reply: ({ receipt, ...reply }) => ({
        ...reply,
        receipt: { ...(receipt as object), nonce: Buffer.alloc(32).toString('base64') },
      }),
    },
    code: 'receipt_invalid',
  },
  'leaves the receipt out': { wrong: { reply: ({ receipt: _, ...reply }) => reply }, code: 'receipt_invalid' },
  'records something else': {
    wrong: { entry: (entry) => ({ ...entry, requestId: 'req_other' }) },
    code: 'receipt_mismatch',
  },
  'forks its log': { fork: true, code: 'log_forked' },
  'is busy': {
    wrong: {
      handle: on(
        (response) =>
          void response
            .writeHead(429, { 'content-type': 'application/problem+json', 'retry-after': '1' })
            .end(problem('rate_limited')),
      ),
    },
    code: 'rate_limited',
  },
  'can’t record': {
    wrong: {
      handle: on(
        (response) =>
          void response
            .writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '1' })
            .end(problem('log_unavailable')),
      ),
    },
    code: 'log_unavailable',
  },
  fails: { wrong: { handle: on((response) => void response.writeHead(500).end()) }, code: 'refused' },
  redirects: {
    wrong: { handle: on((response) => void response.writeHead(307, { location: 'https://127.0.0.1:1/' }).end()) },
    code: 'redirected',
  },
  'sends too much': {
    wrong: { handle: on((response) => void response.writeHead(200, json).end(Buffer.alloc(2 ** 21, 32))) },
    code: 'too_large',
  },
  refuses: {
    wrong: {
      handle: on(
        (response) =>
          void response
            .writeHead(401, { 'content-type': 'application/problem+json' })
            .end(problem('attestation_failed')),
      ),
    },
    code: 'attestation_failed',
  },
  'is another server': { identity: identities.wrongRoot, code: 'untrusted_server' },
  'is another server, with our root appended': { identity: identities.rootAppended, code: 'untrusted_server' },
  'shows an expired chain': { identity: identities.expired, code: 'untrusted_server' },
}

/** From the certificate to its end. */
const lifeMs = 8_000

async function runCase(name: string, { wrong, identity, fork, code }: Case): Promise<void> {
  const fake = await startFake({ leaf: { notAfter: new Date(Date.now() + lifeMs + 1_000) } })
  const warnings: string[] = []
  const purser = await connect({
    addr: fake.url,
    ca: { sha256: rootFingerprint },
    proof: proofFor(),
    logKey: fake.state.log.vkey,
    env: {},
    renewAt: 0.2,
    timeoutMs: 3_000,
    onWarning: (warning) => warnings.push(warning),
  })
  const forks: PurserError[] = []
  purser.on('fork', ({ error }) => forks.push(error))
  const held = purser.x509
  const expiry = new Promise<PurserError | undefined>((resolve) => {
    purser.on('expired', ({ error }) => resolve(error))
  })
  const before = fake.requests.length
  if (wrong) fake.state.wrong = wrong
  if (fork) fake.state.log = fake.state.log.fork(1)
  if (identity) fake.show(identity)

  expect(await expiry, name).toMatchObject({ code })
  // The client's own clock now says that the certificate has ended.
  expect(() => purser.x509, name).toThrow(
    expect.objectContaining({ code: 'expired', cause: expect.objectContaining({ code }) }) as Error,
  )
  expect(fork ? forks.length : 1, name).toBeGreaterThan(0)
  const requestCount = fake.requests.length - before
  // Each try makes at most two requests: by certificate, then by proof; or again after Retry-After.
  expect(requestCount, name).toBeLessThan(30)
  if (identity) expect(requestCount, name).toBe(0)
  for (const { body } of fake.requests)
    expect(body.includes(proofFor()) && body !== fake.posts()[0]?.body && identity !== undefined, name).toBe(false)

  fake.state.wrong = {}
  if (identity) fake.show(identities.good)
  if (!fork) {
    // The first call may share a try that began during the fault.
    await purser.renew().catch(() => purser.renew())
    expect(purser.x509.serialNumber, name).not.toBe(held.serialNumber)
  }
  purser.close()
  await fake.drained()
}

test('the held credentials serve until their end, and nothing false is accepted', { timeout: 60_000 }, async () => {
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason)
  process.on('unhandledRejection', onUnhandled)
  try {
    await Promise.all(Object.entries(cases).map(([name, details]) => runCase(name, details)))
    await once(AbortSignal.timeout(100), 'abort')
    expect(unhandled).toEqual([])
  } finally {
    process.off('unhandledRejection', onUnhandled)
  }
})
