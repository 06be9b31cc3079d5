/** The effects of disabling, demoting or removing an operator, at two replicas, also on open requests and streams. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { account } from '../support/accounts.ts'
import { type Reader, watch } from '../support/event-stream.ts'
import { waiters } from '../support/head-lock.ts'
import { type Ask, createAsk, entryOf, fault } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'

let purser: TestPurser
let replica: TestPurser
let ask: Ask
let askReplica: Ask
beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  replica = await startReplica(purser, { tls: true })
  ask = createAsk(purser)
  askReplica = createAsk(replica)
})
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

const withinASecond = { timeout: 1000, interval: 20 }

type End = [string, (name: string) => Promise<unknown>, unknown]
const ends: End[] = [
  ['disabled', (name) => ask('disableOperator', { name }), '401 unauthenticated'],
  ['removed', (name) => ask('deleteOperator', { name, ifMatch: 1 }), '401 unauthenticated'],
  ['demoted', (name) => ask('replaceOperator', { name, body: { name, role: 'auditor' }, ifMatch: 1 }), '403 forbidden'],
]

describe.each(ends)('an operator who is %s', (state, end, outcome) => {
  const name = `op-${state}`
  const create = (token: string, at: Ask, n: number) =>
    at('createWorkload', {
      token,
      body: { name: `${name}-${n}`, attestor: 'join', spiffeId: `spiffe://example.org/join/${name}-${n}` },
    })

  it('loses access at every replica within a second, and its streams end', async () => {
    const { token } = await account(ask, name, 'operator')
    await expect.poll(() => askReplica('whoAmI', { token }).then(fault), { timeout: 5000 }).toBe('200 ')
    expect(fault(await create(token, ask, 1))).toBe('201 ')
    const streams: Reader[] = []
    for (const at of [purser, replica]) streams.push(await watch(at, '?prefix=shop/', { token }))
    expect(streams.map(({ status }) => status)).toEqual([200, 200])

    await end(name)
    const endedAt = Date.now()
    expect(fault(await create(token, ask, 2))).toBe(outcome)
    await expect.poll(() => create(token, askReplica, 3).then(fault), withinASecond).toBe(outcome)
    await Promise.all(streams.map(({ ended }) => ended))
    expect(Date.now() - endedAt).toBeLessThan(1000)
    expect(streams.map(({ events }) => events.at(-1)?.name)).toEqual(['revoked', 'revoked'])
  })
})

describe('a request that waits for the log while its operator is disabled', () => {
  it('changes nothing', async () => {
    const { token } = await account(ask, 'late', 'operator')
    // The first use of the token is recorded before.
    await ask('whoAmI', { token })
    const tx = await purser.knex.transaction()
    const [head]: { revision: string }[] = await tx('log_head').forUpdate().select('revision')
    const body = { name: 'late', attestor: 'join', spiffeId: 'spiffe://example.org/join/late' }
    const pending = ask('createWorkload', { body, token })
    await expect.poll(() => waiters(purser.knex), { timeout: 1500 }).toBe(1)
    const changed = Number(head?.revision) + 1
    await tx('operator').where({ name: 'late' }).update({ disabled: true, revision: 2, changed })
    await tx('log_head').update({ revision: changed })
    await tx.commit()
    const answer = await pending
    expect(fault(answer)).toBe('401 unauthenticated')
    expect(await entryOf(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'unauthenticated' })
    expect(fault(await ask('getWorkload', { name: 'late' }))).toBe('404 not_found')
  })
})
