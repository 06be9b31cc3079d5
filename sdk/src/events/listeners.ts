/** The functions of a program that hear of events. */

/** The listeners of each event, by its name. */
export function createListeners<E>() {
  const byName: { [N in keyof E]?: Set<(event: E[N]) => unknown> } = {}
  return <N extends keyof E>(name: N) => {
    const listeners: Set<(event: E[N]) => unknown> = byName[name] ?? new Set()
    byName[name] = listeners
    return listeners
  }
}

/** @returns a function that removes the listener */
export function addListener<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/**
 * Calls a function of the program and ignores its result.
 * @param onFailure receives what it throws or rejects with, so that neither ends the process
 */
export function callOut(call: () => unknown, onFailure: (error: unknown) => void): void {
  try {
    Promise.resolve(call()).catch(onFailure)
  } catch (error) {
    onFailure(error)
  }
}
