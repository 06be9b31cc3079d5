/** The machine's clock and timers, moved by the test; what runs in threads meanwhile is waited for. */
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { onTestFinished, vi } from 'vitest'

const makePair = promisify(generateKeyPair)

/** What was started has come to its end, or waits for a timer: keys queue behind each other. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await makePair('ec', { namedCurve: 'P-256' })
    await new Promise((done) => setImmediate(done))
  }
}

type FakeTime = {
  /** In steps, as many timers may follow from each other. */
  pass: (seconds: number, step?: number) => Promise<void>
  /** A second at a time, for what also waits for a disk; a test that waits in vain ends by its own timeout. */
  until: (holds: () => boolean) => Promise<void>
  /** The clock alone, as when a machine slept: timers come late, and a monotonic clock stood still (clock_gettime(2)). */
  sleep: (seconds: number) => void
  /** The clock on the wall is set back; a monotonic one goes on. */
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
