/** A machine whose clock differs from the database's expires nothing by its own time. */
import { describe, expect, it } from 'vitest'
import { byTime, createClockCheck } from '../../src/jobs/clock.ts'

const hour = 3600_000

describe('jobs that expire rows', () => {
  const setUp = () => {
    const state = { machineTime: 0, databaseTime: 0, elapsed: 0, reads: 0, runs: 0, isAllowed: true }
    const check = createClockCheck({
      read: async () => (state.reads++, new Date(state.databaseTime)),
      now: () => new Date(state.machineTime),
      clock: () => state.elapsed,
    })
    const job = byTime({ name: 'leases', everySeconds: 1, run: async () => void state.runs++ }, async () => {
      await check()
      return state.isAllowed
    })
    return { state, job }
  }

  it.each([0, 59_000, -59_000])('runs where the clocks are %i ms apart', async (apart) => {
    const { state, job } = setUp()
    state.machineTime = apart
    await job.run()
    expect(state.runs).toBe(1)
  })

  it.each([
    [25 * hour, 'the clock is 90000 s ahead of the database'],
    [-25 * hour, 'the clock is 90000 s behind the database'],
    [61_000, 'the clock is 61 s ahead of the database'],
  ])('waits while they are %i ms apart, reports it, and recovers by itself', async (apart, words) => {
    const { state, job } = setUp()
    await job.run()
    state.machineTime = apart
    state.elapsed = 1000
    await expect(job.run()).rejects.toThrow(words)
    expect(state.runs).toBe(1)
    state.machineTime = 0
    await job.run()
    expect(state.runs).toBe(2)
  })

  it('waits while changes are not allowed', async () => {
    const { state, job } = setUp()
    state.isAllowed = false
    await job.run()
    expect(state.runs).toBe(0)
    state.isAllowed = true
    await job.run()
    expect(state.runs).toBe(1)
  })

  it('compares at once when this machine’s clock was set since the last comparison', async () => {
    const { state, job } = setUp()
    await job.run()
    state.machineTime = 25 * hour
    state.elapsed = 10
    await expect(job.run()).rejects.toThrow('ahead of the database')
    expect(state.runs).toBe(1)
  })

  it("reads the database's clock once a second for all jobs", async () => {
    const { state, job } = setUp()
    for (let n = 0; n < 5; n++) await job.run()
    expect([state.reads, state.runs]).toEqual([1, 5])
    state.elapsed = 1000
    await job.run()
    expect(state.reads).toBe(2)
  })
})
