/** Connections to peers, verified by their SPIFFE ID; the name that was dialled proves nothing. */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as connectTls } from 'node:tls'
import type { PurserError } from '../errors.ts'
import { contextOf } from './context.ts'
import { type Judge, type TlsParts, createJudge } from './judge.ts'
import { type VerifiedPeer, rememberPeer, chainOf, certificatesIn } from './peer.ts'
import { type Watch, endsAnyTime } from './watch.ts'
import { type Accept, type Destination, destinationNames } from '../types/tls-options.ts'

/** For `tls.connect` and `https.request`, as of now: ask for fresh ones at each connection. */
export const clientOptions = (parts: TlsParts, accept: Accept): ConnectionOptions =>
  optionsOf(parts, createJudge(parts, accept), poolOf(accept))

function optionsOf(
  { source }: TlsParts,
  judge: Judge,
  pool: string,
  onKnown?: (known: VerifiedPeer) => void,
): ConnectionOptions {
  return {
    ...contextOf(source.identity()),
    // Said outright: NODE_TLS_REJECT_UNAUTHORIZED must not switch it off.
    rejectUnauthorized: true,
    // An agent that has a session of this server offers it unless told: resumed, nobody would ask who the peer is.
    session: undefined,
    // Part of the name under which an agent keeps connections, so that none is used for another `accept`.
    sessionIdContext: pool,
    checkServerIdentity(_, certificate) {
      try {
        const known = judge.meet(chainOf(certificatesIn(certificate)))
        onKnown?.(known)
        return undefined
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error))
      }
    },
  }
}

const functions = new WeakMap<object, number>()
let counted = 0

function poolOf(accept: Accept): string {
  if (typeof accept !== 'function')
    return createHash('sha256').update(JSON.stringify(accept)).digest('hex').slice(0, 32)
  const number = functions.get(accept) ?? ++counted
  functions.set(accept, number)
  return `accept ${number}`
}

export type Dial = (where: Destination) => TLSSocket

/**
 * Makes connections that end when their peer is let in no more, or this client closed.
 * @param endsBy which reasons end one that is open; each but the end of a certificate unless given
 */
export function createDial(
  parts: TlsParts,
  watch: Watch,
  accept: Accept,
  endsBy: (why: PurserError, socket: TLSSocket) => boolean = endsAnyTime,
): Dial {
  const judge = createJudge(parts, accept)
  const pool = poolOf(accept)
  return (where) => {
    let known: VerifiedPeer | undefined
    const options = optionsOf(parts, judge, pool, (peer) => (known = peer))
    const socket = connectTls({ ...destinationOf(where), ...options })
    socket.once('secureConnect', () => known && rememberPeer(socket, known))
    watch.add(
      socket,
      () => {
        const why = known && judge.look(known)
        return why && endsBy(why, socket) ? why : undefined
      },
      (why) => socket.destroy(why),
    )
    return socket
  }
}

function destinationOf(where: Destination): Destination {
  const given = destinationNames.flatMap((name) =>
    where[name] === undefined || where[name] === null ? [] : [[name, where[name]] as const],
  )
  const named: Destination = Object.fromEntries(given)
  // RFC 6066 section 3: no addresses in SNI.
  if (named.servername !== undefined && isIP(named.servername) !== 0) delete named.servername
  return named
}
