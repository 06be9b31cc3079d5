/** The roots changed before a restart, and the older one is pinned: the stored state proves which root succeeds it. */
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CaOption, type Purser, connect } from '@purser/sdk'
import { expect, onTestFinished, test } from 'vitest'
import { failing } from './failing.ts'
import {
  type Fake,
  type Misbehaviour,
  identities,
  proofFor,
  rootFingerprint,
  rootPem,
  startFake,
} from './fake-purser.ts'

const nextRoot = identities.wrongRoot.cert.slice(identities.wrongRoot.cert.lastIndexOf('-----BEGIN'))
const otherIssuer: Misbehaviour = {
  reply: (reply) => ({ ...reply, x509: { ...(reply.x509 as object), trustBundle: rootPem + nextRoot } }),
}

function place(ca: CaOption) {
  const parent = mkdtempSync(join(tmpdir(), 'purser-roots-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  const stateDir = join(parent, 'state')
  return async (fake: Fake, { warnings, ...options }: Options = {}): Promise<Purser> => {
    const proof = (): Promise<string> => Promise.resolve(proofFor())
    const onWarning = (warning: string): void => void warnings?.push(warning)
    const client = await connect({
      addr: fake.url,
      ca,
      proof,
      env: {},
      receipts: 'off',
      stateDir,
      onWarning,
      ...options,
    })
    onTestFinished(() => client.close())
    return client
  }
}

type Options = { stateDir?: string; workload?: string; warnings?: string[] }

/** The client continues with the stored state and received nothing new. */
async function unverified(start: (warnings: string[]) => Promise<Purser>, fake: Fake): Promise<void> {
  const warnings: string[] = []
  const before = fake.requests.length
  const client = await start(warnings)
  expect(client.spiffeId).toBe('spiffe://example.org/lab/web')
  expect(warnings).toEqual([expect.stringMatching(/^the stored identity .* is used until it can be renewed/)])
  expect((await failing(client.renew())).code).toMatch(/^(?:untrusted_server|fingerprint_mismatch)$/)
  expect(fake.requests).toHaveLength(before)
}

const pins: [string, CaOption][] = [
  ['a root', { pem: rootPem }],
  ['a fingerprint', { sha256: rootFingerprint }],
]

test.each(pins)('with %s: the server is verified under its new root at once', async (_, ca) => {
  const start = place(ca)
  const fake = await startFake(otherIssuer)
  ;(await start(fake)).close()
  fake.show(identities.wrongRoot)
  const posts = fake.posts().length
  expect((await start(fake)).spiffeId).toBe('spiffe://example.org/lab/web')
  expect(fake.posts()).toHaveLength(posts + 1)
})

test.each(pins)('with %s: not if the stored state does not name the new root', async (_, ca) => {
  const start = place(ca)
  const fake = await startFake()
  ;(await start(fake)).close()
  fake.show(identities.wrongRoot)
  await unverified((warnings) => start(fake, { warnings }), fake)
})

test.each(pins)('with %s: nor if the stored state is of another server or workload', async (_, ca) => {
  const start = place(ca)
  const fake = await startFake(otherIssuer)
  ;(await start(fake)).close()
  fake.show(identities.wrongRoot)
  expect(['untrusted_server', 'fingerprint_mismatch']).toContain(
    (await failing(start(fake, { workload: 'other' }))).code,
  )
})

test('with the fingerprints of both, pinned ahead of the change: the new one is trusted, though the stored state does not name it', async () => {
  const start = place({ sha256: [rootFingerprint, new X509Certificate(nextRoot).fingerprint256] })
  const fake = await startFake()
  ;(await start(fake)).close()
  fake.show(identities.wrongRoot)
  const posts = fake.posts().length
  expect((await start(fake)).spiffeId).toBe('spiffe://example.org/lab/web')
  expect(fake.posts()).toHaveLength(posts + 1)
})

test('a pin of a foreign root is not changed by the stored state', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'purser-roots-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  const start = (ca: CaOption) => place(ca)
  const fake = await startFake(otherIssuer)
  const stateDir = join(parent, 'state')
  ;(await start({ pem: rootPem })(fake, { stateDir })).close()
  const unknown = 'ab'.repeat(32)
  await unverified((warnings) => start({ sha256: unknown })(fake, { stateDir, warnings }), fake)
})
