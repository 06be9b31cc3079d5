/** Servers that accept only chosen workloads of the trust domain. */
import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import { type Server as HttpsServer, createServer as createHttps } from 'node:https'
import type { Socket } from 'node:net'
import { type Server, TLSSocket, createServer as createTls } from 'node:tls'
import { PurserError, wordsOf } from '../errors.ts'
import { contextOf } from './context.ts'
import { type Judge, type TlsParts, createJudge } from './judge.ts'
import { rememberPeer, verifiedPeerOf, chainOf, certificatesOf } from './peer.ts'
import { answerRefusal, endUpgrade } from './refuse.ts'
import { httpOptionsOf, socketOptionsOf } from './server-options.ts'
import { type Watch, endsAnyTime, endsBetweenRequests } from './watch.ts'
import type { ServerOptions, SocketServerOptions } from '../types/tls-options.ts'

/** Node requests a certificate, and closes connections without one under our roots before anything is handled. */
const verifyClients = { requestCert: true, rejectUnauthorized: true }

export function createHttpsServer(
  parts: TlsParts,
  watch: Watch,
  options: ServerOptions,
  onRequest?: RequestListener,
): HttpsServer {
  const judge = createJudge(parts, options.accept)
  const context = contextOf(parts.source.identity())
  const server = createHttps({ ...httpOptionsOf(options), ...context, ...verifyClients }, onRequest)
  guard(server, parts, watch, judge, { whileOpen: endsBetweenRequests })
  return server
}

export function createSocketServer(
  parts: TlsParts,
  watch: Watch,
  options: SocketServerOptions,
  onSocket?: (socket: TLSSocket) => void,
): Server {
  const judge = createJudge(parts, options.accept)
  const context = contextOf(parts.source.identity())
  const server = createTls({ ...socketOptionsOf(options), ...context, ...verifyClients }, onSocket)
  guard(server, parts, watch, judge, { whileOpen: endsAnyTime })
  return server
}

type Rules = { whileOpen: (reason: PurserError) => boolean }

/**
 * Filters the events of a server before its listeners see them. So no listener, whenever it is added, receives a connection
 * or request of a peer that is not accepted.
 */
function guard(server: Server, parts: TlsParts, watch: Watch, judge: Judge, { whileOpen }: Rules): void {
  const { source, warn } = parts
  /** Upgraded connections and tunnels: their further data is not checked. */
  const handedOver = new WeakSet<Socket>()

  function admit(socket: TLSSocket): boolean {
    try {
      if (!socket.authorized) throw new PurserError('bad_peer', 'not verified')
      rememberPeer(socket, judge.admit(chainOf(certificatesOf(socket))))
    } catch {
      socket.destroy()
      return false
    }
    watch.add(socket, () => {
      const refusal = refusalOf(socket)
      const ends = handedOver.has(socket) ? endsAnyTime : whileOpen
      return refusal && ends(refusal) ? refusal : undefined
    })
    return true
  }

  function refusalOf(socket: Socket): PurserError | undefined {
    const peer = verifiedPeerOf(socket)
    return peer ? judge.check(peer) : new PurserError('bad_peer', 'no peer was verified on this connection')
  }

  /** Events with unexpected arguments do not pass. */
  function passes(event: string | symbol, [first, second]: readonly unknown[]): boolean {
    if (event === 'secureConnection') return first instanceof TLSSocket && admit(first)
    if (!withRequest.has(event)) return true
    if (!(first instanceof IncomingMessage)) return false
    const refusal = refusalOf(first.socket)
    if (!refusal && handingOver.has(event)) handedOver.add(first.socket)
    if (!refusal) return true
    if (second instanceof ServerResponse) answerRefusal(first, second, refusal)
    else endUpgrade(first.socket, refusal)
    return false
  }

  const emit = server.emit.bind(server) as (event: string | symbol, ...args: unknown[]) => boolean
  Object.assign(server, {
    emit: (event: string | symbol, ...args: unknown[]) => !passes(event, args) || emit(event, ...args),
  })

  // Includes connections before the end of their handshake.
  server.on('connection', (socket: Socket) => watch.add(socket, () => undefined))
  const stop = source.onIdentity(() => {
    try {
      server.setSecureContext(contextOf(source.identity()))
    } catch (error) {
      // Renewal reports an expired certificate.
      if (!(error instanceof PurserError)) warn(`the server keeps its previous certificate: ${wordsOf(error)}`)
    }
  })
  server.once('close', stop)
  source.closing.addEventListener('abort', () => server.close(), { once: true })
}

const withRequest: ReadonlySet<string | symbol> = new Set([
  'request',
  'checkContinue',
  'checkExpectation',
  'upgrade',
  'connect',
])

const handingOver: ReadonlySet<string | symbol> = new Set(['upgrade', 'connect'])
