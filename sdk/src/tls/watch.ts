/** Open connections: checked again at each change of roots, identity and CRLs, and closed with the client. */
import type { Socket } from 'node:net'
import type { PurserError } from '../errors.ts'
import type { IdentitySource } from '../identity/source.ts'

/** For connections that are checked at each request: a revocation must not wait for the next one. */
export const endsBetweenRequests = ({ code }: PurserError): boolean => code === 'revoked'
/**
 * For connections without further checks: every reason except expiry, since a connection may outlive the certificate that
 * was valid at its beginning.
 */
export const endsAnyTime = ({ code }: PurserError): boolean => code !== 'expired'

export type Watch = ReturnType<typeof createWatch>

type Parts = Pick<IdentitySource, 'revoked' | 'onIdentity' | 'closing'>
type End = (reason: PurserError) => unknown

export function createWatch({ revoked, onIdentity, closing }: Parts) {
  const open = new Map<Socket, () => void>()
  const checkAll = (): void => {
    for (const check of open.values()) check()
  }
  revoked.onNews(checkAll)
  onIdentity(checkAll)
  const endAll = (): void => {
    for (const socket of open.keys()) socket.destroy()
  }
  closing.addEventListener('abort', endAll, { once: true })

  return {
    /**
     * @param check returns why the connection must end now
     * @param end ends it. Default: destroys the socket
     */
    add(socket: Socket, check: () => PurserError | undefined, end: End = () => socket.destroy()): void {
      open.set(socket, () => {
        const reason = check()
        if (reason) end(reason)
      })
      socket.once('close', () => open.delete(socket))
      if (closing.aborted) socket.destroy()
    },
  }
}
