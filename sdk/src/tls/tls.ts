/** `purser.tls`: mutual TLS between workloads of one trust domain. */
import { createAgent } from './agent.ts'
import { clientOptions, createDial } from './client.ts'
import type { TlsParts } from './judge.ts'
import { createHttpsServer, createSocketServer } from './server.ts'
import { createWatch } from './watch.ts'
import type { Tls } from '../types/tls.ts'

export function createTls(parts: TlsParts): Tls {
  const watch = createWatch(parts.source)
  return {
    server: (options, onRequest) => createHttpsServer(parts, watch, options, onRequest),
    socketServer: (options, onSocket) => createSocketServer(parts, watch, options, onSocket),
    client: ({ accept }) => clientOptions(parts, accept),
    connect: ({ accept, ...where }) => createDial(parts, watch, accept)(where),
    agent: (options) => createAgent(parts, watch, options),
  }
}
