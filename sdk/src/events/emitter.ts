import { wordsOf } from '../errors.ts'
import type { EventName, Events } from '../types/events.ts'
import type { Purser } from '../types/purser.ts'
import { addListener, callOut, createListeners } from './listeners.ts'

export type Emitter = {
  on: Purser['on']
  emit: <N extends EventName>(name: N, event: Events[N]) => void
}

/** @param warn receives the failures of listeners */
export function createEmitter(warn: (warning: string) => void): Emitter {
  const listeners = createListeners<Events>()
  return {
    on: (name, listener) => addListener(listeners(name), listener),
    emit(name, event) {
      for (const listener of listeners(name)) {
        callOut(
          () => listener(event),
          (error) => warn(`a listener of '${name}' threw: ${wordsOf(error)}`),
        )
      }
    },
  }
}
