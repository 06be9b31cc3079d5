/** The machine's clock and timers, moved by the test; what runs in threads meanwhile is waited for. */
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import { onTestFinished, vi } from 'vitest'

const makePair = promisify(generateKeyPair)

/** What was started has come to its end, or waits for a timer: keys queue behind each other. */
export async function settled(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await makePair('ec', { namedCurve: 'P-256' })
    await new Promise((done) => setImmediate(done))
  }
}

export function fakeTime() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  onTestFinished(() => void vi.useRealTimers())
  return {
    /** In steps, as many timers may follow from each other. */
    async pass(seconds: number, step = Math.max(1, seconds / 60)): Promise<void> {
      const end = Math.round(Date.now() + seconds * 1000)
      while (Date.now() < end) {
        vi.advanceTimersByTime(Math.min(Math.ceil(step * 1000), end - Date.now()))
        await settled()
      }
    },
    /** A second at a time, for what also waits for a disk; a test that waits in vain ends by its own timeout. */
    async until(holds: () => boolean): Promise<void> {
      while (!holds()) {
        vi.advanceTimersByTime(1000)
        await settled()
      }
    },
    /** The clock alone, as when a machine slept: timers come late. */
    sleep: (seconds: number): void => void vi.setSystemTime(Date.now() + seconds * 1000),
  }
}
