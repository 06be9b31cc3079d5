/** The events that end a workload's rights as an operator, at two replicas, also on open requests and streams. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Knex } from '../../src/store/database.ts'
import { waiters } from '../support/head-lock.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type Ask, createAsk, entryOf, fault } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { type Job, type OperatorGrant, operatorJob, pipeline } from '../support/workload-operators.ts'

let purser: TestPurser
let replica: TestPurser
let ask: Ask
let askReplica: Ask
let issuer: Issuer
beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  replica = await startReplica(purser, { tls: true })
  ask = createAsk(purser)
  askReplica = createAsk(replica)
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

const withinASecond = { timeout: 1000, interval: 20 }
const grant: OperatorGrant = { role: 'operator', bound: 'everything' }
const start = (name: string) => operatorJob(purser, ask, issuer, { name, grant })

const create = (at: Ask, { token }: Job, name: string) =>
  at('createWorkload', {
    token,
    body: { name, attestor: 'join', spiffeId: `spiffe://example.org/join/${name}` },
  })

type End = [string, (name: string, job: Job) => Promise<unknown>, string]
const ends: End[] = [
  ['is disabled', (name) => ask('disableWorkload', { name }), '401 token_type'],
  [
    'loses the grant',
    (name) => ask('replaceWorkload', { name, body: pipeline(name, undefined), ifMatch: 1 }),
    '401 token_type',
  ],
  [
    'gets another role',
    (name) => ask('replaceWorkload', { name, body: pipeline(name, { role: 'auditor', bound: {} }), ifMatch: 1 }),
    '403 forbidden',
  ],
  [
    'has another identity',
    (name) =>
      ask('replaceWorkload', {
        name,
        body: pipeline(name, grant, { spiffeId: `spiffe://example.org/lab/${name}-2` }),
        ifMatch: 1,
      }),
    '401 token_type',
  ],
  ['is removed', (name) => ask('deleteWorkload', { name, ifMatch: 1 }), '401 token_type'],
  [
    'is contained',
    (_, { session }) => ask('createContainment', { body: { match: { session }, rotate: false }, reason: 'a leak' }),
    '401 token_type',
  ],
  ['gave up its session', (_, { token }) => ask('endSession', { token }), '401 token_type'],
]

describe.each(ends)('a workload that %s', (change, end, outcome) => {
  const name = `wl-${change.replaceAll(' ', '-')}`

  it('can do nothing more as an operator, at any replica within a second', async () => {
    const job = await start(name)
    await expect.poll(() => askReplica('listWorkloads', { token: job.token }).then(fault), { timeout: 5000 }).toBe('200 ') // prettier-ignore
    expect(fault(await create(ask, job, `${name}-1`))).toBe('201 ')
    await end(name, job)
    expect(fault(await create(ask, job, `${name}-2`))).toBe(outcome)
    await expect.poll(() => create(askReplica, job, `${name}-3`).then(fault), withinASecond).toBe(outcome)
  })
})

/** As another replica does it while the request waits for the head. */
const lateEnds: [string, (tx: Knex.Transaction, name: string, job: Job, revision: number) => Promise<unknown>][] = [
  [
    'its entry is disabled',
    (tx, name, _, changed) => tx('workload').where({ name }).update({ disabled: true, revision: 2, changed }),
  ],
  [
    'its entry is disabled and enabled again',
    (tx, name, _, changed) => tx('workload').where({ name }).update({ revision: 3, changed }),
  ],
]

async function whileWaiting(job: Job, name: string, end: (tx: Knex.Transaction) => Promise<unknown>) {
  const tx = await purser.knex.transaction()
  await tx('log_head').forUpdate().select('revision')
  const pending = create(ask, job, name)
  await expect.poll(() => waiters(purser.knex), { timeout: 1500 }).toBe(1)
  await end(tx)
  await tx.commit()
  const answer = await pending
  expect(fault(answer)).toBe('401 unauthenticated')
  expect(await entryOf(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'unauthenticated' })
  expect(fault(await ask('getWorkload', { name }))).toBe('404 not_found')
}

describe('a request that waits for the log changes nothing', () => {
  it.each(lateEnds)('while %s', async (change, end) => {
    const name = `late-${change.length}`
    const job = await start(name)
    await whileWaiting(job, `${name}-made`, async (tx) => {
      const [{ revision }] = await tx('log_head').increment('revision', 1).returning('revision')
      await end(tx, name, job, revision)
    })
  })

  it('while its session ends', async () => {
    const job = await start('late-session')
    await whileWaiting(job, 'late-session-made', (tx) =>
      tx('session').where({ id: job.session }).update({ ended_at: new Date(), end_reason: 'given up' }),
    )
  })

  it('and a read that waits is not answered', async () => {
    const job = await start('late-read')
    const tx = await purser.knex.transaction()
    await tx('log_head').forUpdate().select('revision')
    const pending = ask('listWorkloads', { token: job.token })
    await expect.poll(() => waiters(purser.knex), { timeout: 1500 }).toBe(1)
    await tx('session').where({ id: job.session }).update({ ended_at: new Date(), end_reason: 'given up' })
    await tx.commit()
    expect(fault(await pending)).toBe('401 unauthenticated')
  })
})
