/**
 * Keeps the process alive until `work` settles. Timers and sockets of this package do not, so that background work never
 * holds back the end of a program; a caller who awaits a result does.
 */
export async function keepAlive<T>(work: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => undefined, 2 ** 30)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}
