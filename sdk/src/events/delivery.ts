/** Who is told of something new, one thing after the other; and whether all of them took it. */
import { callOut } from './call-out.ts'
import { type PurserError, wordsOf } from '../errors.ts'

type Events = { change: object; error: PurserError }

/** `done` where each listener's promise was fulfilled, `nobody` where there is none. */
type Outcome = 'done' | 'failed' | 'superseded' | 'nobody'

export type Telling<E extends Events> = {
  /** Answers how to stop listening. */
  on: <N extends keyof E>(name: N, listener: (event: E[N]) => unknown) => () => void
  /** The next one is told once the promises of all listeners are settled. */
  deliver: (change: E['change']) => Promise<Outcome>
  tell: <N extends keyof E>(name: N, event: E[N]) => void
  /** Told once until `recovered`. */
  failed: (error: PurserError) => void
  recovered: () => void
  close: () => void
}

type Parts<E extends Events> = {
  /** In words, for warnings: `a watched secret`, and what it is called. */
  of: string
  name: string
  /** Of several changes with one key that came while a listener was busy, the newest alone is told. */
  keyOf: (change: E['change']) => string
  warn: (warning: string) => void
  onClose: () => void
}

type Waiting<E extends Events> = { change: E['change']; settle: (outcome: Outcome) => void }

export function createTelling<E extends Events>({ of, name, keyOf, warn, onClose }: Parts<E>): Telling<E> {
  const listeners: { [N in keyof E]?: Set<(event: E[N]) => unknown> } = {}
  const waiting = new Map<string, Waiting<E>>()
  let busy = false
  let closed = false
  let told: string | undefined

  function listenersOf<N extends keyof E>(event: N): Set<(event: E[N]) => unknown> {
    const known: Set<(event: E[N]) => unknown> | undefined = listeners[event]
    if (known) return known
    const made = new Set<(event: E[N]) => unknown>()
    listeners[event] = made
    return made
  }

  const complain = (error: unknown): void => warn(`a listener of ${of} (${name}) failed: ${wordsOf(error)}`)

  async function tellAll(change: E['change']): Promise<Outcome> {
    const all = [...listenersOf('change')]
    if (closed || all.length === 0) return 'nobody'
    const settled = await Promise.allSettled(all.map(async (listener) => listener(change)))
    const failures = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []))
    failures.forEach(complain)
    return failures.length === 0 ? 'done' : 'failed'
  }

  async function pump(): Promise<void> {
    busy = true
    for (let [next] = waiting; next; [next] = waiting) {
      const [key, { change, settle }] = next
      waiting.delete(key)
      settle(await tellAll(change))
    }
    busy = false
  }

  function tell<N extends keyof E>(event: N, value: E[N]): void {
    for (const listener of listenersOf(event)) callOut(() => listener(value), complain)
  }

  return {
    on(event, listener) {
      const all = listenersOf(event)
      all.add(listener)
      return () => void all.delete(listener)
    },
    deliver: (change) =>
      new Promise((settle) => {
        waiting.get(keyOf(change))?.settle('superseded')
        waiting.set(keyOf(change), { change, settle })
        if (!busy) void pump()
      }),
    tell,
    failed(error) {
      if (closed || told === error.code) return
      told = error.code
      if (listenersOf('error').size === 0) warn(`${name}: what is held is used on. ${error.message}`)
      tell('error', error)
    },
    recovered: () => void (told = undefined),
    close() {
      if (closed) return
      closed = true
      onClose()
    },
  }
}
