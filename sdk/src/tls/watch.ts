/** Open connections: they are looked at again at each change of roots, identity and CRLs, and end with the client. */
import type { Socket } from 'node:net'
import type { PurserError } from '../errors.ts'
import type { IdentitySource } from '../identity/source.ts'

/** Of a connection whose further requests are each judged: what must not wait for the next one. */
export const endsBetweenRequests = ({ code }: PurserError): boolean => code === 'revoked'
/**
 * Of a connection over which nothing is judged any more: whatever is wrong with the peer, but that its certificate ended.
 * It was verified when the connection began, and the connection may be longer-lived than the certificate.
 */
export const endsAnyTime = ({ code }: PurserError): boolean => code !== 'expired'

export type Watch = {
  /**
   * @param look asked when there is news: why the connection must end now
   * @param end what is done then; it is destroyed unless given
   */
  add(socket: Socket, look: () => PurserError | undefined, end?: (why: PurserError) => void): void
}

type Parts = Pick<IdentitySource, 'revoked' | 'onIdentity' | 'closing'>

export function createWatch({ revoked, onIdentity, closing }: Parts): Watch {
  const open = new Map<Socket, () => void>()
  const lookAgain = (): void => {
    for (const look of open.values()) look()
  }
  revoked.onNews(lookAgain)
  onIdentity(lookAgain)
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
  }
}
