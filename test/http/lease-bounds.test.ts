/** The bounds of leases: their number per session, and no change at a target while the log is closed. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Shop, rolesAt, startShop } from '../support/leases.ts'
import { fault } from '../support/operator.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

describe('leases', () => {
  let target: TargetServer
  let shop: Shop
  beforeAll(async () => {
    target = await startTarget()
    shop = await startShop(target, { store: 'postgres' })
  })
  afterAll(async () => {
    await shop?.purser.stop()
    await target.stop()
  })
  const isGone = async (username: string): Promise<boolean> => !(await rolesAt(target)).includes(username)

  it('are limited for each session until one has ended', async () => {
    // The same proof is the same instance, like a pod's token through all its restarts.
    const request = { proof: { kind: 'jwt', token: await shop.issuer.token({ sub: 'shop' }) }, databases: ['orders'] }
    const { body } = await shop.attest(request)
    const session = (body['session'] as { id: string }).id
    const [first] = (await shop.purser.knex('lease').where({ session_id: session })) as Record<string, unknown>[]
    const more = Array.from({ length: 63 }, (_, n) => ({
      ...first,
      id: `ls_${n}`,
      username: `purser_none_${n}`,
    }))
    await shop.purser.knex('lease').insert(more)
    const before = await rolesAt(target)
    const refused = await shop.attest(request)
    expect(fault(refused)).toBe('429 rate_limited /databases')
    expect(await rolesAt(target)).toEqual(before)
    await shop.purser.knex('lease').where({ id: `ls_0` }).delete()
    expect((await shop.attest(request)).status).toBe(200)
    await shop.purser
      .knex('lease')
      .whereIn(
        'id',
        more.map(({ id }) => id),
      )
      .delete()
  })

  it('are not ended while the log is closed, since a restored database does not know later roles', async () => {
    const { body } = await shop.attest({ databases: ['orders'] })
    const [role] = body['databases'] as { lease: string; username: string }[]
    await shop.purser.knex('log_head').update({ issuing: false })
    await expect.poll(async () => (await shop.purser.call('GET', '/readyz')).status).toBe(503)
    // Waits for the end of earlier runs.
    await shop.purser.runJobs()
    await shop.purser
      .knex('lease')
      .where({ id: role?.lease })
      .update({ expires_at: new Date(0) })
    await shop.purser.runJobs()
    expect(await isGone(role?.username ?? '')).toBe(false)
    await shop.purser.knex('log_head').update({ issuing: true })
    await expect
      .poll(async () => {
        await shop.purser.runJobs()
        return isGone(role?.username ?? '')
      })
      .toBe(true)
  })

  it('are not ended while the clock differs from the clock of the database', async () => {
    const { body } = await shop.attest({ databases: ['orders'] })
    const [role] = body['databases'] as { lease: string; username: string }[]
    // Waits for the end of earlier runs: one that has compared the clocks already would end the lease.
    await shop.purser.runJobs()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 86_400_000 })
    try {
      await shop.purser.runJobs()
      await shop.purser.runJobs()
      expect(await isGone(role?.username ?? '')).toBe(false)
      expect(await shop.lease(role?.lease ?? '')).toMatchObject({ state: 'active' })
      expect(shop.purser.logs.join('\n')).toContain('ahead of the database')
    } finally {
      vi.useRealTimers()
    }
    // Failed jobs pause for a while, and then the clock is right again.
    await shop.purser
      .knex('lease')
      .where({ id: role?.lease })
      .update({ expires_at: new Date(0) })
    await expect
      .poll(async () => {
        await shop.purser.runJobs()
        return isGone(role?.username ?? '')
      })
      .toBe(true)
  })
})
