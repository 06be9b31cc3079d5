/** Opens and drains the listeners: the API, operators' own, CRLs over plain HTTP, and metrics. */
import {
  type RequestListener,
  type Server as HttpServer,
  type ServerResponse,
  createServer as createHttpServer,
} from 'node:http'
import { type Server as HttpsServer, createServer as createHttpsServer } from 'node:https'
import { Server as NetServer, Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Config } from '../config.ts'
import type { HandleClientError } from '../http/client-errors.ts'
import type { Logger } from '../telemetry/log.ts'
import { type ServerIdentity, timeouts, tlsOptions } from './tls.ts'

export type Listener = {
  /** `https://host:port`; the system chooses the port where the configuration says 0. */
  url: string
  /** Installs a new certificate; open connections keep theirs. */
  swap(identity: ServerIdentity): void
  /** Answers requests that have begun, each as the last of its connection; ends the rest after `seconds`. */
  drain(seconds: number): Promise<void>
}

type Address = Config['listen']

type Bounds = {
  waits?: typeof timeouts
  /** Per listener and process; further connections are closed at once. */
  maxConnections?: number
  /** Called when connections are closed for that, at most once a minute. */
  onFull?: () => void
  /** Answers bytes that Node's parser refuses; by default Node sends a bare 400. */
  handleClientError?: HandleClientError
}

/** http/framing.ts checks it instead, so that the refusal has a body. */
const ownChecks = { requireHostHeader: false }

export async function listen(
  app: RequestListener,
  address: Address,
  identity: ServerIdentity | undefined,
  { waits = timeouts, maxConnections, onFull, handleClientError }: Bounds = {},
): Promise<Listener> {
  let leaving = false
  const unanswered = new Set<ServerResponse>()
  const serve: RequestListener = (request, response) => {
    if (leaving) response.setHeader('connection', 'close')
    unanswered.add(response)
    response.once('close', () => unanswered.delete(response))
    app(request, response)
  }
  const server: HttpServer | HttpsServer = identity
    ? createHttpsServer({ ...waits, ...ownChecks, ...tlsOptions, ...identity }, serve)
    : createHttpServer({ ...waits, ...ownChecks }, serve)
  // Node would drop headers beyond a number; http/framing.ts refuses the message.
  server.maxHeadersCount = 0
  if (handleClientError)
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (!(socket instanceof Socket)) return void socket.destroy()
      handleClientError(error, socket, () => [...unanswered].find((response) => response.socket === socket))
    })
  server.setTimeout(waits.idleTimeout)
  if (maxConnections !== undefined) keepBelow(server, maxConnections, atMostEvery(60_000, onFull))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.port, address.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new TypeError('the listener has no port')
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  return {
    url: `${identity ? 'https' : 'http'}://${host}:${bound.port}`,
    swap: (next) => {
      if ('setSecureContext' in server) server.setSecureContext({ ...tlsOptions, ...next })
    },
    drain(seconds) {
      leaving = true
      for (const response of unanswered) if (!response.headersSent) response.setHeader('connection', 'close')
      return drain(server, seconds)
    },
  }
}

/** Each `https://host:port`. */
export type Urls = {
  url: string
  /** The operators' own listener. */
  adminUrl?: string
  metricsUrl?: string
  crlUrl?: string
}

/**
 * Node's own `maxConnections` does not serve: a full worker hands a connection back to the primary, which offers it again,
 * in a loop while every worker is full.
 */
function keepBelow(server: NetServer, max: number, onFull: () => void): void {
  let open = 0
  server.on('connection', (socket: Socket) => {
    if (open >= max) {
      socket.destroy()
      return onFull()
    }
    open++
    socket.once('close', () => open--)
  })
}

function atMostEvery(ms: number, call: () => void = () => undefined): () => void {
  let last = -Infinity
  return () => {
    if (performance.now() - last < ms) return
    last = performance.now()
    call()
  }
}

export type Apps = {
  everybody: RequestListener
  operators: RequestListener
  metrics?: RequestListener | undefined
  crls?: RequestListener
  handleClientError?: HandleClientError
}

type Settings = Pick<Config, 'listen' | 'adminListen' | 'metricsListen' | 'crlListen' | 'maxConnections' | 'workers'>

/**
 * Opens every configured listener.
 * @param opened receives each listener once it is open, so that a later failure can close it
 */
export async function openListeners(
  { listen: address, adminListen, metricsListen, crlListen, ...config }: Settings,
  identity: ServerIdentity | undefined,
  opened: Listener[],
  { everybody, operators, metrics, crls, handleClientError }: Apps,
  log: Pick<Logger, 'warn'>,
): Promise<Urls> {
  const maxConnections = Math.ceil(config.maxConnections / config.workers)
  async function open(app: RequestListener, at: Address, identity: ServerIdentity | undefined): Promise<string> {
    const onFull = (): void => log.warn('listener.full', { listen: `${at.host}:${at.port}`, count: maxConnections })
    const listener = await listen(app, at, identity, {
      maxConnections,
      onFull,
      ...(handleClientError && { handleClientError }),
    })
    opened.push(listener)
    return listener.url
  }
  return {
    url: await open(everybody, address, identity),
    ...(adminListen && { adminUrl: await open(operators, adminListen, identity) }),
    ...(crlListen && crls && { crlUrl: await open(crls, crlListen, undefined) }),
    ...(metricsListen && metrics && { metricsUrl: await open(metrics, metricsListen, undefined) }),
  }
}

/** Milliseconds for new connections, and again for requests on open ones. */
const politeMs = (seconds: number): number => Math.min(1000, seconds * 50)

/**
 * A request on a kept connection would be lost if the server closed it at once. So each reply first announces that it is
 * the connection's last; then the listener closes; then idle connections end.
 */
async function drain(server: HttpServer | HttpsServer, seconds: number): Promise<void> {
  const deadline = setTimeout(() => server.closeAllConnections(), seconds * 1000)
  await pause(politeMs(seconds))
  // The HTTP server's own `close` would end idle connections at once.
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()))
  await Promise.race([closed, pause(politeMs(seconds))])
  server.closeIdleConnections()
  const sweep = setInterval(() => server.closeIdleConnections(), 100)
  await closed
  clearTimeout(deadline)
  clearInterval(sweep)
  server.close()
}

/** Serves `/metrics` only, for a scraper inside the network (docs/configuration.md). */
export const metricsApp =
  (render: () => Promise<{ text: string; type: string }>): RequestListener =>
  (request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    render().then(
      ({ text, type }) => response.writeHead(200, { 'content-type': type }).end(text),
      () => response.writeHead(500).end(),
    )
  }
