/** What happens to a connected client, for logs and metrics. No event holds a key or a token. */
import { callOut } from './call-out.ts'
import { wordsOf } from '../errors.ts'
import type { Events, EventName } from '../types/events.ts'

/** What it throws, or rejects with where it is async, is warned of. */
export type Listener<N extends EventName> = (event: Events[N]) => unknown

export type Emitter = {
  /** Answers how to stop listening. A listener that throws, or rejects later, is warned of, and stops nobody. */
  on: <N extends EventName>(name: N, listener: Listener<N>) => () => void
  emit: <N extends EventName>(name: N, event: Events[N]) => void
}

/** @param warn told of listeners that throw */
export function createEmitter(warn: (warning: string) => void): Emitter {
  const listeners: { [N in EventName]?: Set<Listener<N>> } = {}
  const of = <N extends EventName>(name: N): Set<Listener<N>> => {
    const known: Set<Listener<N>> | undefined = listeners[name]
    if (known) return known
    const made = new Set<Listener<N>>()
    Object.assign(listeners, { [name]: made })
    return made
  }
  return {
    on(name, listener) {
      const all = of(name)
      all.add(listener)
      return () => void all.delete(listener)
    },
    emit(name, event) {
      for (const listener of of(name)) {
        callOut(
          () => listener(event),
          (error) => warn(`a listener of '${name}' threw: ${wordsOf(error)}`),
        )
      }
    },
  }
}
