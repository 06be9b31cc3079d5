/** Login sessions of browsers end when they are idle, whichever replica they were used at. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { accountWithPassword, anyAddress, logIn, password, sessionOf } from '../support/logins.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'

let purser: TestPurser
let replica: TestPurser
let ask: Ask
beforeAll(async () => {
  const env = { ...anyAddress, PURSER_SESSION_IDLE_SECONDS: '600' }
  purser = await startPurser({ store: 'postgres', env })
  replica = await startReplica(purser, { env })
  ask = createAsk(purser)
  await accountWithPassword(ask, 'ada', 'operator')
})
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

async function browserSession(): Promise<{ id: string; token: string }> {
  const answer = await logIn(purser, { operator: 'ada', password, cookie: true })
  expect(answer.status, answer.text).toBe(201)
  const token = /__Host-purser=([^;]+)/.exec(answer.headers.get('set-cookie') ?? '')?.[1] ?? ''
  return { id: String(answer.body['id']), token }
}

const use = async (server: TestPurser, token: string): Promise<string> =>
  fault(await server.call('GET', '/api/v1/credentials/self', undefined, { token }))

/** As if the session was created, and last used, so long ago. */
async function age(token: string, seconds: number): Promise<void> {
  const hash = createHash('sha256').update(token).digest()
  const before = new Date(Date.now() - seconds * 1000)
  const aged = await purser
    .knex('api_token')
    .where({ hash })
    .update({ created_at: before, last_used_at: purser.knex.raw('case when last_used_at is null then null else ?::timestamptz end', [before]) }) // prettier-ignore
  expect(aged).toBe(1)
}

describe('the session of a browser', () => {
  it('ends without a request, at every replica, and the log says why', async () => {
    const { id, token } = await browserSession()
    await age(token, 650)
    await purser.runJobs()
    expect(await use(purser, token)).toBe('200 ')
    await age(token, 670)
    await purser.runJobs()
    for (const server of [purser, replica])
      await vi.waitFor(async () => expect(await use(server, token)).toBe('401 unauthenticated'), 3000)
    const logouts = (await readLog(purser)).filter(({ action }) => action === 'operator.logout')
    expect(logouts).toMatchObject([
      { actor: { kind: 'system' }, resource: { kind: 'api-token', id, name: 'ada' }, detail: { idleSeconds: 600 } },
    ])
    const { body } = await ask('listTokens', { query: { operator: 'ada' } })
    expect(body['items']).toMatchObject([{ id, revokedAt: expect.any(String) }])
  })

  it('ends once, and once in the log, where two replicas look', async () => {
    const sessions = await Promise.all([browserSession(), browserSession(), browserSession()])
    const before = (await readLog(purser)).length
    for (const { token } of sessions) await age(token, 670)
    await Promise.all([purser.runJobs(), replica.runJobs(), purser.runJobs()])
    const logouts = (await readLog(purser)).slice(before).filter(({ action }) => action === 'operator.logout')
    expect(new Set(logouts.map(({ resource }) => resource?.id))).toEqual(new Set(sessions.map(({ id }) => id)))
    expect(logouts).toHaveLength(3)
  })

  it('goes on while it is used at any replica', async () => {
    const { id, token } = await browserSession()
    // Not idle yet, since each replica looks for idle sessions at any time.
    await age(token, 600)
    expect(await use(replica, token)).toBe('200 ')
    await vi.waitFor(async () => {
      const rows: unknown[] = await purser.knex('api_token').whereNotNull('last_used_at').where({ operator: 'ada', revoked_at: null }) // prettier-ignore
      expect(rows).toHaveLength(1)
    }, 3000)
    await purser
      .knex('api_token')
      .where({ id })
      .update({ created_at: new Date(Date.now() - 700_000) })
    await purser.runJobs()
    expect(await use(purser, token)).toBe('200 ')
  })
})

it('the session of a command line, and an API token, last until their end', async () => {
  const session = await sessionOf(purser, 'ada')
  const { body } = await ask('createToken', { body: { operator: 'ada' } })
  for (const token of [session, String(body['token'])]) {
    await age(token, 40_000)
    await purser.runJobs()
    expect(await use(purser, token)).toBe('200 ')
  }
})
