export type Listeners<E> = <N extends keyof E>(name: N) => Set<(event: E[N]) => unknown>

/** The listeners of each event, by its name. */
export function createListeners<E>(): Listeners<E> {
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
