/** More concurrent changes than a replica can make in time: the excess is refused at once. */
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { openPostgres } from '../../src/store/postgres.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type Answer, audience, startPurser } from '../support/purser.ts'

/** As in audit/change.ts. */
const maxWaiting = 500
const maxOfOneWorkload = 50

it('a change beyond the queue limit is refused, and succeeds when it is repeated', async () => {
  const purser = await startPurser({ store: 'postgres', env: { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000' } })
  onTestFinished(() => purser.stop())
  const url = purser.config.database.kind === 'postgres' ? purser.config.database.url.reveal() : ''
  const other = openPostgres({ url })
  onTestFinished(() => other.close())
  let count = 0
  const change = (): Promise<Answer> => {
    const keys = { discovery: true }
    const name = `a${count++}`
    const attestor = { name, kind: 'oidc', issuer: `https://${name}.example`, audience, keys }
    return purser.call('POST', '/api/v1/attestors', attestor, { token: purser.admin })
  }
  expect((await change()).status).toBe(201)
  const answers: Answer[] = []
  let all: Promise<unknown> = Promise.resolve()
  await other.knex.transaction(async (tx) => {
    await tx.raw('set local idle_in_transaction_session_timeout = 0')
    await tx('log_head').forUpdate().first()
    all = Promise.all(Array.from({ length: maxWaiting + 20 }, async () => answers.push(await change())))
    await expect.poll(() => answers.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(19)
    const refused = answers.slice(0, 19)
    for (const { status, headers, body } of refused) {
      expect([status, body.code]).toEqual([503, 'log_unavailable'])
      expect(headers.get('retry-after')).toBe('2')
      expect(body['detail']).toBe('too many changes are waiting')
    }
  })
  await all
  expect((await change()).status).toBe(201)
}, 120_000)

/** Two workloads, each with a session, that have read one secret. */
async function startWorkloads() {
  const purser = await startPurser({ store: 'postgres', env: { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000' } })
  onTestFinished(() => purser.stop())
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  await purser.asAdmin('PUT', '/api/v1/secrets/prod/db', { data: { password: 'first' } }, { 'if-match': '"0"' })
  const tokens = new Map<string, string>()
  for (const name of ['busy', 'quiet']) {
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name,
      attestor: 'lab',
      match: { 'oidc:sub': name },
      spiffeId: `spiffe://example.org/lab/${name}`,
      grants: { secrets: [{ paths: ['prod/db'], actions: ['read'] }] },
    })
    const proof = { kind: 'jwt', token: await issuer.token({ sub: name }) }
    const request = { proof, accessToken: {}, secrets: ['prod/db'] }
    const { body } = await purser.asAdmin('POST', '/api/v1/credentials', request)
    tokens.set(name, (body['accessToken'] as { token: string }).token)
  }
  const call = (method: string, path: string, name: string, body?: object): Promise<Answer> =>
    purser.call(method, path, body, { token: tokens.get(name) ?? '' })
  const url = purser.config.database.kind === 'postgres' ? purser.config.database.url.reveal() : ''
  const other = openPostgres({ url })
  onTestFinished(() => other.close())
  /** Runs while no entry can be appended. */
  const whileHeld = (work: () => Promise<unknown>): Promise<unknown> =>
    other.knex.transaction(async (tx) => {
      await tx.raw('set local idle_in_transaction_session_timeout = 0')
      await tx('log_head').forUpdate().first()
      await work()
    })
  const put = (): Promise<Answer> =>
    purser.call(
      'PUT',
      '/api/v1/secrets/prod/x',
      { data: { a: 'b' } },
      { token: purser.admin, headers: { 'if-match': '"0"' } },
    )
  return { call, whileHeld, put }
}

const statusesOf = (answers: readonly Answer[]): number[] => answers.map(({ status }) => status)

it('a workload with endless changes leaves room in the queue for operators and other workloads', async () => {
  const { call, whileHeld, put } = await startWorkloads()
  const end = (name: string): Promise<Answer> => call('DELETE', '/api/v1/credentials/self', name)
  const refused: Answer[] = []
  let all: Promise<Answer[]> = Promise.resolve([])
  let others: Promise<Answer[]> = Promise.resolve([])
  await whileHeld(async () => {
    all = Promise.all(
      Array.from({ length: maxOfOneWorkload + 10 }, async () => {
        const answer = await end('busy')
        if (answer.status === 503) refused.push(answer)
        return answer
      }),
    )
    await expect.poll(() => refused.length).toBe(10)
    others = Promise.all([end('quiet'), put()])
  })
  expect(refused.map(({ status, body }) => [status, body.code])).toEqual(
    Array.from({ length: 10 }, () => [503, 'log_unavailable']),
  )
  // The first ends the session; the others find no session.
  expect(statusesOf(await all).filter((status) => status === 204)).toHaveLength(1)
  expect(statusesOf(await others)).toEqual([204, 201])
}, 120_000)

it('acknowledgements do not wait in the queue of changes: those of one workload are appended together', async () => {
  const { call, whileHeld, put } = await startWorkloads()
  const acknowledge = (name: string): Promise<Answer> =>
    call('POST', '/api/v1/secrets/prod/db:ack', name, { version: 1 })
  let all: Promise<Answer[]> = Promise.resolve([])
  await whileHeld(async () => {
    const busy = Array.from({ length: maxOfOneWorkload + 10 }, () => acknowledge('busy'))
    all = Promise.all([...busy, acknowledge('quiet'), put()])
    await pause(200)
  })
  expect(new Set(statusesOf((await all).slice(0, -1)))).toEqual(new Set([204]))
  expect((await all).at(-1)?.status).toBe(201)
}, 120_000)
