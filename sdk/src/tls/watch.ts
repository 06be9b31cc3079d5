/** Open connections: they end with their peer's certificate once it is revoked, and with the client. */
import type { Socket } from 'node:net'
import type { PurserError } from '../errors.ts'
import type { Source } from '../source.ts'

export type Watch = {
  /**
   * @param look asked when there is news: why the connection must end now
   * @param end what is done then; it is destroyed unless given
   */
  add(socket: Socket, look: () => PurserError | undefined, end?: (why: PurserError) => void): void
  /** Asks for every connection. */
  lookAgain: () => void
}

export function createWatch({ revoked, closing }: Pick<Source, 'revoked' | 'closing'>): Watch {
  const open = new Map<Socket, () => void>()
  const lookAgain = (): void => {
    for (const look of open.values()) look()
  }
  revoked.onNews(lookAgain)
  const endAll = (): void => {
    for (const socket of open.keys()) socket.destroy()
  }
  closing.addEventListener('abort', endAll, { once: true })

  return {
    add(socket, look, end = () => socket.destroy()) {
      open.set(socket, () => {
        const why = look()
        if (why) end(why)
      })
      socket.once('close', () => open.delete(socket))
      if (closing.aborted) socket.destroy()
    },
    lookAgain,
  }
}
