/** Listening and draining: the API, operators' own listener where configured, and plain HTTP for metrics alone. */
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
import type { AnswerBroken } from '../http/broken-messages.ts'
import type { Logger } from '../telemetry/log.ts'
import { type ServerIdentity, timeouts, tlsOptions } from './tls.ts'

export type Listener = {
  /** `https://host:port`, with the port that was given by the system where the configuration says 0. */
  url: string
  /** Puts a new certificate in place; connections that are open keep theirs. */
  swap(identity: ServerIdentity): void
  /** Requests that have begun are answered, each reply the last of its connection; after `seconds` the rest ends. */
  drain(seconds: number): Promise<void>
}

type Address = Config['listen']

type Bounds = {
  waits?: typeof timeouts
  /** Of this listener in this process; what comes beyond them is closed without a word. */
  maxConnections?: number
  /** Told of that, once a minute. */
  onFull?: () => void
  /** Answers what Node's parser takes for no request; its own bare 400 unless given. */
  answerBroken?: AnswerBroken
}

/** Judged with the rest of a message (http/framing.ts), so that the answer has a body. */
const ownChecks = { requireHostHeader: false }

export async function listen(
  app: RequestListener,
  address: Address,
  identity: ServerIdentity | undefined,
  { waits = timeouts, maxConnections, onFull, answerBroken }: Bounds = {},
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
  // Node would drop what is beyond a number; http/framing.ts refuses it.
  server.maxHeadersCount = 0
  if (answerBroken)
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (!(socket instanceof Socket)) return void socket.destroy()
      answerBroken(error, socket, () => [...unanswered].find((response) => response.socket === socket))
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
  /** Where operators are served, where that is a listener of its own. */
  adminUrl?: string
  metricsUrl?: string
  crlUrl?: string
}

/**
 * Not by Node's own `maxConnections`: a worker that has as many hands the next one back to the primary, which offers it
 * again, to and fro for as long as every worker is full.
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

function atMostEvery(ms: number, tell: () => void = () => undefined): () => void {
  let last = -Infinity
  return () => {
    if (performance.now() - last < ms) return
    last = performance.now()
    tell()
  }
}

export type Apps = {
  everybody: RequestListener
  operators: RequestListener
  metrics?: RequestListener | undefined
  crls?: RequestListener
  answerBroken?: AnswerBroken
}

type Settings = Pick<Config, 'listen' | 'adminListen' | 'metricsListen' | 'crlListen' | 'maxConnections' | 'workers'>

/**
 * Every listener that is configured.
 * @param opened takes each as soon as it is open, so that whoever fails at the next can close it
 */
export async function openListeners(
  { listen: address, adminListen, metricsListen, crlListen, ...config }: Settings,
  identity: ServerIdentity | undefined,
  opened: Listener[],
  { everybody, operators, metrics, crls, answerBroken }: Apps,
  log: Pick<Logger, 'warn'>,
): Promise<Urls> {
  const maxConnections = Math.ceil(config.maxConnections / config.workers)
  async function open(app: RequestListener, at: Address, identity: ServerIdentity | undefined): Promise<string> {
    const onFull = (): void => log.warn('listener.full', { listen: `${at.host}:${at.port}`, count: maxConnections })
    const listener = await listen(app, at, identity, { maxConnections, onFull, ...(answerBroken && { answerBroken }) })
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

/** For so long others may still come in, and then one that is connected may still send: milliseconds. */
const politeMs = (seconds: number): number => Math.min(1000, seconds * 50)

/**
 * A client can't know that its kept connection is about to be closed: what it has sent by then would be lost. So first
 * every reply says that it is the connection's last, then nobody new comes in, and only then idle connections end.
 */
async function drain(server: HttpServer | HttpsServer, seconds: number): Promise<void> {
  const deadline = setTimeout(() => server.closeAllConnections(), seconds * 1000)
  await pause(politeMs(seconds))
  // Its own `close` would end idle connections at once.
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()))
  await Promise.race([closed, pause(politeMs(seconds))])
  server.closeIdleConnections()
  const sweep = setInterval(() => server.closeIdleConnections(), 100)
  await closed
  clearTimeout(deadline)
  clearInterval(sweep)
  server.close()
}

/** `/metrics` and nothing else: this listener is meant for a scraper inside the network (docs/configuration.md). */
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
