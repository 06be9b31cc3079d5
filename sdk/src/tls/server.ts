/** Servers that only workloads of the trust domain reach, and of those the accepted ones. */
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

/** Node asks for a certificate, and cuts whoever has none under our roots before anything is handled. */
const clientsAreVerified = { requestCert: true, rejectUnauthorized: true }

export function createHttpsServer(
  parts: TlsParts,
  watch: Watch,
  options: ServerOptions,
  onRequest?: RequestListener,
): HttpsServer {
  const judge = createJudge(parts, options.accept)
  const context = contextOf(parts.source.identity())
  const server = createHttps({ ...httpOptionsOf(options), ...context, ...clientsAreVerified }, onRequest)
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
  const server = createTls({ ...socketOptionsOf(options), ...context, ...clientsAreVerified }, onSocket)
  guard(server, parts, watch, judge, { whileOpen: endsAnyTime })
  return server
}

type Rules = { whileOpen: (why: PurserError) => boolean }

/**
 * Everything that a server says passes here before anybody hears it: a listener that is added later, an upgrade's too,
 * sees no connection and no request of a peer that isn't accepted.
 */
function guard(server: Server, parts: TlsParts, watch: Watch, judge: Judge, { whileOpen }: Rules): void {
  const { source, warn } = parts
  /** Handed over to whoever listened: no further request on them will be judged. */
  const handedOver = new WeakSet<Socket>()

  function admit(socket: TLSSocket): boolean {
    try {
      if (!socket.authorized) throw new PurserError('bad_peer', 'not verified')
      rememberPeer(socket, judge.meet(chainOf(certificatesOf(socket))))
    } catch {
      socket.destroy()
      return false
    }
    watch.add(socket, () => {
      const why = verdict(socket)
      const ends = handedOver.has(socket) ? endsAnyTime : whileOpen
      return why && ends(why) ? why : undefined
    })
    return true
  }

  function verdict(socket: Socket): PurserError | undefined {
    const known = verifiedPeerOf(socket)
    return known ? judge.look(known) : new PurserError('bad_peer', 'no peer was verified on this connection')
  }

  /** What isn't of the kind that Node gives here is nobody's request, and passes no more than a stranger's. */
  function passes(event: string | symbol, [first, second]: readonly unknown[]): boolean {
    if (event === 'secureConnection') return first instanceof TLSSocket && admit(first)
    if (!withRequest.has(event)) return true
    if (!(first instanceof IncomingMessage)) return false
    const why = verdict(first.socket)
    if (!why && handingOver.has(event)) handedOver.add(first.socket)
    if (!why) return true
    if (second instanceof ServerResponse) answerRefusal(first, second, why)
    else endUpgrade(first.socket, why)
    return false
  }

  const emit = server.emit.bind(server) as (event: string | symbol, ...args: unknown[]) => boolean
  Object.assign(server, {
    emit: (event: string | symbol, ...args: unknown[]) => !passes(event, args) || emit(event, ...args),
  })

  // Also those that haven't finished their handshake.
  server.on('connection', (socket: Socket) => watch.add(socket, () => undefined))
  const stop = source.onIdentity(() => {
    try {
      server.setSecureContext(contextOf(source.identity()))
    } catch (error) {
      // Its end, or the client's, is told elsewhere.
      if (!(error instanceof PurserError)) warn(`the server keeps its earlier certificate: ${wordsOf(error)}`)
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
