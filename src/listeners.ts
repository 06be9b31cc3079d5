/** Listening and draining: the API, operators' own listener where configured, and plain HTTP for metrics alone. */
import { type RequestListener, type Server as HttpServer, createServer as createHttpServer } from 'node:http'
import { type Server as HttpsServer, createServer as createHttpsServer } from 'node:https'
import type { Config } from './config.ts'
import { type ServerIdentity, timeouts, tlsOptions } from './tls.ts'

export type Listener = {
  /** `https://host:port`, with the port that was given by the system where the configuration says 0. */
  url: string
  /** Puts a new certificate in place; connections that are open keep theirs. */
  swap(identity: ServerIdentity): void
  /** Requests that have begun are answered; idle connections end at once; after `seconds` the rest do. */
  drain(seconds: number): Promise<void>
}

type Address = Config['listen']

export async function listen(
  app: RequestListener,
  address: Address,
  identity: ServerIdentity | undefined,
  waits: typeof timeouts = timeouts,
): Promise<Listener> {
  const server: HttpServer | HttpsServer = identity
    ? createHttpsServer({ ...waits, ...tlsOptions, ...identity }, app)
    : createHttpServer(waits, app)
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
    drain: (seconds) => drain(server, seconds),
  }
}

async function drain(server: HttpServer | HttpsServer, seconds: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const deadline = setTimeout(() => server.closeAllConnections(), seconds * 1000)
  const sweep = setInterval(() => server.closeIdleConnections(), 100)
  await closed
  clearTimeout(deadline)
  clearInterval(sweep)
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
