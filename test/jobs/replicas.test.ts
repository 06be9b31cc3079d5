import { afterEach, describe, expect, it } from 'vitest'
import { readLog } from '../support/operator.ts'
import { type Clock, createClock } from '../support/clock.ts'
import { createLab } from '../support/lab.ts'
import { bundleOf, kidsOf } from '../support/published.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'

const env = {
  PURSER_BUNDLE_REFRESH_SECONDS: '5',
  PURSER_KEY_PUBLISH_SECONDS: '100',
  PURSER_CA_SIGN_SECONDS: '1000',
  PURSER_JWT_SIGN_SECONDS: '1000',
  PURSER_CA_ROOT_SECONDS: '200000',
}

let running: TestPurser[] = []
afterEach(async () => {
  // The first replica owns the database.
  for (const purser of running.toReversed()) await purser.stop()
  running = []
})

async function replicas(clock: Clock, count: number): Promise<TestPurser[]> {
  const first = await startPurser({ store: 'postgres', env, now: clock.now })
  running.push(first)
  while (running.length < count) running.push(await startReplica(first, { env, now: clock.now }))
  return running
}

const created = async (purser: TestPurser): Promise<string[]> =>
  (await readLog(purser)).flatMap((entry) => (entry.action === 'key.create' ? [entry.resource?.name ?? ''] : []))

describe('three replicas on one Postgres', () => {
  it('create each next key once, though all see at the same time that it is due', async () => {
    const clock = createClock()
    const all = await replicas(clock, 3)
    const [first] = all
    if (!first) throw new Error('none')
    const before = (await created(first)).length
    for (let rounds = 1; rounds <= 3; rounds++) {
      clock.advance(rounds === 1 ? 901 : 1000)
      await Promise.all(all.map((purser) => purser.runJobs()))
      await expect.poll(async () => (await created(first)).length, { timeout: 10_000 }).toBe(before + 3 * rounds)
      await Promise.all(all.map((purser) => purser.runJobs()))
      expect((await created(first)).length).toBe(before + 3 * rounds)
    }
    const visibleKids = async (): Promise<Set<string>> =>
      new Set(
        await Promise.all(
          all.map(async (purser) => JSON.stringify([await kidsOf(purser), (await bundleOf(purser)).spiffe_sequence])),
        ),
      )
    await expect.poll(async () => (await visibleKids()).size, { timeout: 10_000 }).toBe(1)
  })

  it('open keys that another replica wrapped, and refuse what another has revoked', async () => {
    const clock = createClock()
    const [first, second] = await replicas(clock, 2)
    if (!first || !second) throw new Error('none')
    const lab = await createLab(first, clock)
    const credentials = await lab.get()
    await first.asAdmin('POST', '/api/v1/keys/keyring:rotate', {})
    await first.asAdmin('POST', '/api/v1/keys/jwt:rotate', { compromised: true })
    const introspect = async (token: string): Promise<unknown> =>
      (await second.call('POST', '/api/v1/introspect', { token }, { token: second.admin })).body.active
    // A key that the first replica withdrew is refused by the second within a second.
    await expect.poll(() => introspect(credentials.jwt), { timeout: 5_000, interval: 50 }).toBe(false)

    const now = clock.seconds()
    const proof = { kind: 'jwt', token: await lab.issuer.token({ iat: now, exp: now + 600 }) }
    const answer = await second.call('POST', '/api/v1/credentials', { proof, jwts: [{ audience: ['payments'] }] })
    expect(answer.status).toBe(200)
    const [{ token = '' } = {}] = answer.body.jwts as { token?: string }[]
    expect(await introspect(token)).toBe(true)
    await second.asAdmin('POST', '/api/v1/keys/ca:rotate', { compromised: true })
    await second.asAdmin('POST', '/api/v1/keys/log:rotate', {})
    expect((await lab.get()).issuing).not.toBe(credentials.issuing)
  })
})
