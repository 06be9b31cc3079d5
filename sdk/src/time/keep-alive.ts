/**
 * Waits for something that somebody asked for. No timer or socket of this package keeps a process alive, so that one with
 * nothing else to do ends whatever goes on in the background; somebody who waits is something else to do.
 */
export async function holding<T>(work: () => Promise<T>): Promise<T> {
  const hold = setInterval(() => undefined, 2 ** 30)
  try {
    return await work()
  } finally {
    clearInterval(hold)
  }
}
