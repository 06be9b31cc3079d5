/** A machine whose clock differs from the database's ends nothing by its own time. */
import { describe, expect, it } from 'vitest'
import { byTime, createClockCheck } from '../../src/jobs/clock.ts'

const hour = 3600_000

describe('what ends things by their time', () => {
  const setUp = () => {
    const state = { here: 0, there: 0, clock: 0, asked: 0, ran: 0, may: true }
    const check = createClockCheck({
      read: async () => (state.asked++, new Date(state.there)),
      now: () => new Date(state.here),
      clock: () => state.clock,
    })
    const job = byTime({ name: 'leases', everySeconds: 1, run: async () => void state.ran++ }, async () => {
      await check()
      return state.may
    })
    return { state, job }
  }

  it.each([0, 59_000, -59_000])('runs where the clocks are %i ms apart', async (apart) => {
    const { state, job } = setUp()
    state.here = apart
    await job.run()
    expect(state.ran).toBe(1)
  })

  it.each([
    [25 * hour, 'the clock is 90000 s ahead of the database'],
    [-25 * hour, 'the clock is 90000 s behind the database'],
    [61_000, 'the clock is 61 s ahead of the database'],
  ])('waits where they are %i ms apart, says so, and goes on by itself', async (apart, words) => {
    const { state, job } = setUp()
    await job.run()
    state.here = apart
    state.clock = 1000
    await expect(job.run()).rejects.toThrow(words)
    expect(state.ran).toBe(1)
    state.here = 0
    await job.run()
    expect(state.ran).toBe(2)
  })

  it('waits while nothing may be touched', async () => {
    const { state, job } = setUp()
    state.may = false
    await job.run()
    expect(state.ran).toBe(0)
    state.may = true
    await job.run()
    expect(state.ran).toBe(1)
  })

  it('asks at once where this machine’s clock was set since they agreed', async () => {
    const { state, job } = setUp()
    await job.run()
    state.here = 25 * hour
    state.clock = 10
    await expect(job.run()).rejects.toThrow('ahead of the database')
    expect(state.ran).toBe(1)
  })

  it('asks the database once a second, however many jobs want to know', async () => {
    const { state, job } = setUp()
    for (let n = 0; n < 5; n++) await job.run()
    expect([state.asked, state.ran]).toEqual([1, 5])
    state.clock = 1000
    await job.run()
    expect(state.asked).toBe(2)
  })
})
