/**
 * A log key is replaced while clients are connected, with and without pins: none is cut off and none accepts a false
 * log.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectOptions, type Purser, connect } from '@purser/sdk'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { failing } from './failing.ts'

/** The seconds during which both keys sign. */
const overlap = 600

let purser: TestPurser
let issuer: Issuer
let dir: string
let first: string[]
const clock = createClock()

async function client(options: ConnectOptions): Promise<{ client: Purser; warnings: string[] }> {
  const warnings: string[] = []
  const connected = await connect({
    addr: purser.url,
    ca: { pem: await readFile(join(purser.dataDir, 'ca.pem'), 'utf8') },
    env: {},
    proof: () => issuer.token({ iat: clock.seconds(), exp: clock.seconds() + 600 }),
    onWarning: (warning) => warnings.push(warning),
    x509: false,
    ...options,
  })
  onTestFinished(() => connected.close())
  return { client: connected, warnings }
}

beforeAll(async () => {
  purser = await startPurser({
    tls: true,
    now: clock.now,
    env: { PURSER_KEY_PUBLISH_SECONDS: `${overlap}` },
  })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  dir = await mkdtemp(join(tmpdir(), 'purser-succession-'))
  first = purser.vkeys
})
afterAll(async () => {
  await purser.stop()
  await rm(dir, { recursive: true, force: true })
})

describe('while both keys sign', () => {
  test('a client that pinned the older one continues and gets one warning to pin the next', async () => {
    const { client: pinned, warnings } = await client({ logKey: first })
    await purser.asAdmin('POST', '/api/v1/keys/log:rotate', {})
    expect(warnings).toEqual([])
    await pinned.jwt('payments')
    await pinned.jwt('cloud')
    expect(warnings).toEqual([expect.stringMatching(/^the log's key is being replaced.*PURSER_LOG_KEY=/)])
    const { client: next, warnings: quiet } = await client({
      logKey: warnings[0]?.split('PURSER_LOG_KEY=')[1]?.split(',') ?? [],
    })
    await next.jwt('payments')
    expect(quiet).toEqual([])
  })

  test('a client that trusts on first use accepts the next key and stores both across a restart', async () => {
    const { warnings } = await client({ stateDir: dir, logKey: [] })
    expect(warnings.join('\n')).toContain('trust on first use')
    const state = JSON.parse(await readFile(join(dir, 'log-example.org.json'), 'utf8')) as { vkeys: string[] }
    expect(state.vkeys).toHaveLength(2)
    expect(state.vkeys).toEqual(expect.arrayContaining(first))
  })
})

describe('after the end of the older one', () => {
  beforeAll(async () => {
    clock.advance(overlap + 1)
    await purser.runJobs()
  })

  test('a client with both keys continues; a client that pinned only the older one is refused', async () => {
    const { client: restarted } = await client({ stateDir: dir })
    expect(restarted.receipt?.index).toBeGreaterThan(0)
    expect((await failing(client({ logKey: first }))).code).toBe('receipt_invalid')
  })
})
