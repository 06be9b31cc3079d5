/** Delivers changes to the listeners of a watch, one after the other, and reports whether all of them succeeded. */
import { type PurserError, wordsOf } from '../errors.ts'
import { addListener, callOut, createListeners } from './listeners.ts'

type WatchEvents = { change: object; error: PurserError }

/** `done`: every listener's promise was fulfilled. `none`: there is no listener. */
type Outcome = 'done' | 'failed' | 'superseded' | 'none'

export type Delivery<E extends WatchEvents> = {
  on: <N extends keyof E>(name: N, listener: (event: E[N]) => unknown) => () => void
  /** Waits until all listeners have finished with the previous change. */
  deliver: (change: E['change']) => Promise<Outcome>
  emit: <N extends keyof E>(name: N, event: E[N]) => void
  /** Emits an error once until `recovered`. */
  failed: (error: PurserError) => void
  recovered: () => void
  close: () => void
}

type Parts<E extends WatchEvents> = {
  /** For warnings, such as `a watched secret`. */
  subject: string
  name: string
  /** Of several changes with one key that arrive while listeners are busy, only the newest is delivered. */
  keyOf: (change: E['change']) => string
  warn: (warning: string) => void
  onClose: () => void
}

type Pending<E extends WatchEvents> = { change: E['change']; settle: (outcome: Outcome) => void }

export function createDelivery<E extends WatchEvents>(parts: Parts<E>): Delivery<E> {
  const { subject, name, keyOf, warn, onClose } = parts
  const listeners = createListeners<E>()
  const queue = new Map<string, Pending<E>>()
  let isDelivering = false
  let isClosed = false
  let emittedError: string | undefined

  const onFailure = (error: unknown): void => warn(`a listener of ${subject} (${name}) failed: ${wordsOf(error)}`)

  async function callListeners(change: E['change']): Promise<Outcome> {
    const all = [...listeners('change')]
    if (isClosed || all.length === 0) return 'none'
    const results = await Promise.allSettled(all.map(async (listener) => listener(change)))
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
    failures.forEach(onFailure)
    return failures.length === 0 ? 'done' : 'failed'
  }

  async function deliverQueue(): Promise<void> {
    isDelivering = true
    for (let [next] = queue; next; [next] = queue) {
      const [key, { change, settle }] = next
      queue.delete(key)
      settle(await callListeners(change))
    }
    isDelivering = false
  }

  function emit<N extends keyof E>(event: N, value: E[N]): void {
    for (const listener of listeners(event)) callOut(() => listener(value), onFailure)
  }

  return {
    on: (event, listener) => addListener(listeners(event), listener),
    deliver: (change) =>
      new Promise((settle) => {
        queue.get(keyOf(change))?.settle('superseded')
        queue.set(keyOf(change), { change, settle })
        if (!isDelivering) void deliverQueue()
      }),
    emit,
    failed(error) {
      if (isClosed || emittedError === error.code) return
      emittedError = error.code
      if (listeners('error').size === 0) warn(`${name}: the current value stays in use. ${error.message}`)
      emit('error', error)
    },
    recovered: () => void (emittedError = undefined),
    close() {
      if (isClosed) return
      isClosed = true
      onClose()
    },
  }
}
