/** The machine's clock and timers under control of the test. Work in threads is awaited. */
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { onTestFinished, vi } from 'vitest'

const makePair = promisify(generateKeyPair)

/** Waits until started work has ended or waits for a timer. Key operations queue behind each other. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await makePair('ec', { namedCurve: 'P-256' })
    await new Promise((done) => setImmediate(done))
  }
}

type FakeTime = {
  /** Advances in steps, because timers may start further timers. */
  pass: (seconds: number, step?: number) => Promise<void>
  /** Advances a second at a time, for work that also waits for a disk. The test's own timeout ends a wait in vain. */
  until: (holds: () => boolean) => Promise<void>
  /**
   * Moves the clock alone, as after a sleep: timers fire late and the monotonic clock stands still
   * (clock_gettime(2)).
   */
  sleep: (seconds: number) => void
  /** Sets the wall clock back; the monotonic clock goes on. */
  setBack: (seconds: number) => void
}

export function fakeTime(): FakeTime {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
  return {
    async pass(seconds, step = Math.max(1, seconds / 60)) {
      const end = Math.round(Date.now() + seconds * 1000)
      while (Date.now() < end) {
        vi.advanceTimersByTime(Math.min(Math.ceil(step * 1000), end - Date.now()))
        await settle()
      }
    },
    async until(holds) {
      while (!holds()) {
        vi.advanceTimersByTime(1000)
        await settle()
      }
    },
    sleep: (seconds) => void vi.setSystemTime(Date.now() + seconds * 1000),
    setBack: (seconds) => void vi.setSystemTime(Date.now() - seconds * 1000),
  }
}
