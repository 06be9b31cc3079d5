/** One after the other: whoever is accounted for by the log asks for growth since the head that the one before brought. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<T>

export function createTurn(): InTurn {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const result = last.then(work)
    last = result.catch(() => undefined)
    return result
  }
}
