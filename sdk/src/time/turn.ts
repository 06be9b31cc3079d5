export type InTurn = <T>(work: () => Promise<T>) => Promise<T>

/** Runs work one after the other, so that each request can prove the log's growth since the head of the previous one. */
export function createTurn(): InTurn {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const result = last.then(work)
    last = result.catch(() => undefined)
    return result
  }
}
