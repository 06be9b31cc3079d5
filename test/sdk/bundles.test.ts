/** The current bundle: its age and the frequency of requests for it. The test controls clock and server. */
import { PurserError } from '@purser/sdk'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createBundleCache } from '../../sdk/src/bundle/bundle-cache.ts'
import type { Bundle } from '../../sdk/src/bundle/bundle.ts'
import { rootPem } from './fake-purser.ts'

const x5c = rootPem.replace(/-----[A-Z ]+-----|\s/g, '')

function create(hint: unknown = 300) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  onTestFinished(() => void vi.useRealTimers())
  const state = { seconds: 1000, reads: 0, away: false, bundles: [] as Bundle[] }
  const bundles = createBundleCache({
    transport: {
      exchange() {
        state.reads++
        if (state.away) return Promise.reject(new PurserError('unreachable', 'no server'))
        const keys = [{ kty: 'EC', use: 'x509-svid', x5c: [x5c] }]
        const text = JSON.stringify({ keys, spiffe_sequence: 1, spiffe_refresh_hint: hint })
        return Promise.resolve({ status: 200, headers: {}, text, bytes: Buffer.from(text) })
      },
      rest: () => undefined,
      close: () => undefined,
    },
    onBundle: (bundle) => void state.bundles.push(bundle),
    closing: new AbortController().signal,
    random: () => 0,
    elapsed: () => state.seconds * 1000,
  })
  onTestFinished(() => bundles.close())
  return { state, bundles }
}

const setClockBack = (): unknown => vi.setSystemTime(Date.now() - 3_600_000)
describe('after the clock was set back by an hour', () => {
  test('a bundle keeps its age', async () => {
    const { state, bundles } = create()
    await bundles.get()
    setClockBack()
    state.seconds += 599
    await bundles.get()
    expect(state.reads).toBe(1)
    state.seconds += 1
    await bundles.get()
    expect(state.reads).toBe(2)
  })

  test('a missing key is requested after five seconds, not sooner', async () => {
    const { state, bundles } = create()
    await bundles.get()
    setClockBack()
    state.seconds += 4
    await bundles.refresh()
    expect(state.reads).toBe(1)
    state.seconds += 1
    await bundles.refresh()
    expect(state.reads).toBe(2)
  })

  test('an unreachable Purser is asked again after five seconds', async () => {
    const { state, bundles } = create()
    await bundles.get()
    state.seconds += 600
    state.away = true
    await bundles.get()
    setClockBack()
    state.seconds += 4
    await bundles.get()
    expect(state.reads).toBe(2)
    state.seconds += 1
    await bundles.get()
    expect(state.reads).toBe(3)
  })
})

describe('the refresh interval', () => {
  /** Advances the timers and waits for the work that they start. */
  const later = (seconds: number): Promise<unknown> => vi.advanceTimersByTimeAsync(seconds * 1000)

  test.each([[3_000_000], [2 ** 40], [Number.MAX_SAFE_INTEGER]])(
    'a hint of %i s, more than a timer can hold, becomes an hour and no busy loop',
    async (hint) => {
      const { state } = create(hint)
      await later(2.5)
      expect(state.reads).toBe(1)
      await later(3200)
      expect(state.reads).toBe(1)
      await later(400)
      expect(state.reads).toBe(2)
    },
  )

  test('a hint of one second becomes five', async () => {
    const { state } = create(1)
    await later(2.5)
    await later(4.4)
    expect(state.reads).toBe(1)
    await later(0.1)
    expect(state.reads).toBe(2)
  })

  test.each([['x'], [0], [-5], [1.5], [null]])('%j is no valid hint: five minutes apply', async (hint) => {
    const { state } = create(hint)
    await later(2.5)
    await later(269)
    expect(state.reads).toBe(1)
    await later(1)
    expect(state.reads).toBe(2)
  })
})
