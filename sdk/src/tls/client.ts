/** Connections to peers, verified by SPIFFE ID instead of host name. */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as connectTls } from 'node:tls'
import type { PurserError } from '../errors.ts'
import { contextOf } from './context.ts'
import { type Judge, type TlsParts, createJudge } from './judge.ts'
import { type VerifiedPeer, rememberPeer, chainOf, certificatesIn } from './peer.ts'
import { type Watch, endsAnyTime } from './watch.ts'
import { type Accept, type Destination, destinationNames } from '../types/tls-options.ts'

/** Options for `tls.connect` and `https.request`, as of now. */
export const clientOptions = (parts: TlsParts, accept: Accept): ConnectionOptions =>
  optionsOf(parts, createJudge(parts, accept), poolOf(accept))

function optionsOf(
  { source }: TlsParts,
  judge: Judge,
  pool: string,
  onPeer?: (peer: VerifiedPeer) => void,
): ConnectionOptions {
  return {
    ...contextOf(source.identity()),
    // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED does not disable it.
    rejectUnauthorized: true,
    // Prevents an agent from resuming a session, since that skips the verification of the peer.
    session: undefined,
    // Part of an agent's pool name, so that connections are not shared between different `accept` options.
    sessionIdContext: pool,
    checkServerIdentity(_, certificate) {
      try {
        const peer = judge.admit(chainOf(certificatesIn(certificate)))
        onPeer?.(peer)
        return undefined
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error))
      }
    },
  }
}

const functionNumbers = new WeakMap<object, number>()
let functionCount = 0

function poolOf(accept: Accept): string {
  if (typeof accept !== 'function')
    return createHash('sha256').update(JSON.stringify(accept)).digest('hex').slice(0, 32)
  const number = functionNumbers.get(accept) ?? ++functionCount
  functionNumbers.set(accept, number)
  return `accept ${number}`
}

export type Dial = (where: Destination) => TLSSocket

/**
 * Creates connections that end when their peer is no longer accepted, or the client closes.
 * @param endsOpen whether a reason ends an open connection. Default: every reason except expiry
 */
export function createDial(
  parts: TlsParts,
  watch: Watch,
  accept: Accept,
  endsOpen: (reason: PurserError, socket: TLSSocket) => boolean = endsAnyTime,
): Dial {
  const judge = createJudge(parts, accept)
  const pool = poolOf(accept)
  return (where) => {
    let peer: VerifiedPeer | undefined
    const options = optionsOf(parts, judge, pool, (verified) => (peer = verified))
    const socket = connectTls({ ...destinationOf(where), ...options })
    socket.once('secureConnect', () => peer && rememberPeer(socket, peer))
    watch.add(
      socket,
      () => {
        const reason = peer && judge.check(peer)
        return reason && endsOpen(reason, socket) ? reason : undefined
      },
      (reason) => socket.destroy(reason),
    )
    return socket
  }
}

function destinationOf(where: Destination): Destination {
  const members = destinationNames.flatMap((name) =>
    where[name] === undefined || where[name] === null ? [] : [[name, where[name]] as const],
  )
  const result: Destination = Object.fromEntries(members)
  // RFC 6066 section 3: no addresses in SNI.
  if (result.servername !== undefined && isIP(result.servername) !== 0) delete result.servername
  return result
}
