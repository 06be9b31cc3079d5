import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Job, startJobs } from '../../src/jobs/runner.ts'

const never = 3600
type Run = [job: string, failed: boolean]

function start(jobs: Job[]) {
  const runs: Run[] = []
  let time = 0
  const running = startJobs(jobs, {
    clock: () => time,
    onRun: (job, error) => runs.push([job, error !== undefined]),
  })
  return { running, runs, pass: (ms: number) => void (time += ms) }
}

test('an error ends one run and no other', async () => {
  const failing = { name: 'failing', everySeconds: never, run: () => Promise.reject(new Error('no')) }
  const { running, runs } = start([failing, { name: 'fine', everySeconds: never, run: async () => undefined }])
  await running.runAll()
  await running.runAll()
  await running.stop()
  expect(runs).toEqual([
    ['failing', true],
    ['fine', false],
    ['failing', true],
    ['fine', false],
  ])
})

test('a failed job pauses before its next run', async () => {
  let calls = 0
  const job: Job = {
    name: 'failing',
    everySeconds: 0.01,
    run() {
      calls++
      return Promise.reject(new Error('no'))
    },
  }
  const { running, pass } = start([job])
  await expect.poll(() => calls).toBe(1)
  await pause(100)
  expect(calls).toBe(1)
  pass(10_000)
  await expect.poll(() => calls).toBe(2)
  await running.stop()
})

test('a run longer than its interval does not overlap the next', async () => {
  let [active, max, count] = [0, 0, 0]
  const job: Job = {
    name: 'slow',
    everySeconds: 0.005,
    async run() {
      max = Math.max(max, ++active)
      await pause(30)
      active--
      count++
    },
  }
  const { running } = start([job])
  await expect.poll(() => count).toBeGreaterThan(2)
  await running.stop()
  expect(max).toBe(1)
})

test('stopping waits for the active run, and begins no other', async () => {
  let [startCount, endCount] = [0, 0]
  let release = (): void => undefined
  const gate = new Promise<void>((resolve) => (release = resolve))
  const job: Job = {
    name: 'held',
    everySeconds: never,
    async run() {
      startCount++
      await gate
      endCount++
    },
  }
  const { running } = start([job])
  const all = running.runAll()
  await expect.poll(() => startCount).toBe(1)
  const stopped = running.stop()
  release()
  await Promise.all([stopped, all])
  await running.runAll()
  expect([startCount, endCount]).toEqual([1, 1])
})
