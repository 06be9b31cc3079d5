/** A dispatcher for undici, and so for `fetch`, whose connections are as new as the identity. */
import { Agent, Dispatcher } from 'undici'
import { PurserError } from './errors.ts'
import { peerOf } from './tls/peer.ts'
import { pick } from './tls/server-options.ts'
import type { Accept } from './types/tls-options.ts'
import type { Purser } from './types/purser.ts'

const names = [
  'bodyTimeout',
  'connections',
  'connectTimeout',
  'headersTimeout',
  'keepAliveMaxTimeout',
  'keepAliveTimeout',
  'maxHeaderSize',
  'maxResponseSize',
  'pipelining',
] as const satisfies readonly (keyof Agent.Options)[]

/** As for undici's `Agent`, without what decides whom to trust. */
export type DispatcherOptions = { accept: Accept } & Pick<Agent.Options, (typeof names)[number]>

type Connector = Extract<NonNullable<Agent.Options['connect']>, (...args: never[]) => void>

const maxMs = 2 ** 31 - 1

/**
 * For `fetch(url, { dispatcher })` of undici and of Node: mutual TLS to whoever `accept` lets in, by SPIFFE ID and not by
 * the URL's host name. A new certificate, or other roots, mean new connections; what is under way on the earlier ones is
 * finished, unless its peer is let in no more. `https:` alone. Make one and keep it; `close()` it, or it ends with `purser.close()`.
 *
 * @throws PurserError `bad_options`, `not_requested`, `expired`, `closed`; what comes later is a request's error (the
 *   `cause` of what `fetch` rejects with)
 */
export function createDispatcher(purser: Pick<Purser, 'tls' | 'on' | 'x509'>, options: DispatcherOptions): Dispatcher {
  const { accept, connectTimeout = 10_000 } = options
  // What is wrong with the options is said now.
  purser.tls.client({ accept })

  const connect: Connector = ({ protocol, hostname, port, servername, localAddress }, callback) => {
    let timer: NodeJS.Timeout | undefined
    try {
      if (protocol !== 'https:') throw new PurserError('bad_options', `mutual TLS is https:, not ${protocol}`)
      const from = typeof localAddress === 'string' ? { localAddress } : {}
      const name = servername === undefined ? {} : { servername }
      const host = hostname.replace(/^\[(.*)\]$/, '$1')
      const to = { host, port: Number(port || 443), ALPNProtocols: ['http/1.1'] }
      const socket = purser.tls.connect({ accept, ...to, ...name, ...from })
      const onError = (error: Error): void => {
        clearTimeout(timer)
        callback(error, null)
      }
      timer = setTimeout(() => {
        socket.destroy(new PurserError('timeout', `connecting to ${host} took longer than ${connectTimeout} ms`))
      }, connectTimeout)
      socket.once('error', onError)
      socket.once('secureConnect', () => {
        clearTimeout(timer)
        socket.off('error', onError)
        const ends = Date.parse(peerOf(socket).certificate.validTo) - Date.now()
        const renew = setTimeout(replace, Math.min(ends, maxMs)).unref()
        socket.once('close', () => clearTimeout(renew))
        callback(null, socket)
      })
    } catch (error) {
      clearTimeout(timer)
      callback(error instanceof Error ? error : new Error(String(error)), null)
    }
  }

  const create = (): Agent => new Agent({ ...pick(options, names), connect })
  const agents = new Set<Agent>()
  let identity = identityOf(purser)
  let current = create()
  let isOver = false

  /** Its requests are finished; nobody gives it another. */
  function retire(agent: Agent): void {
    agents.add(agent)
    void closed(agent).then(() => agents.delete(agent))
  }
  function replace(): void {
    // Closed: another agent would be open for good, and take requests again.
    if (isOver) return
    const earlier = current
    current = create()
    retire(earlier)
  }
  function look(): void {
    const now = identityOf(purser)
    if (now === identity) return
    identity = now
    replace()
  }

  const stops = [purser.on('renewed', look), purser.on('bundle', look), purser.on('expired', look)]
  const stop = (): void => {
    isOver = true
    stops.forEach((stop) => stop())
  }

  return Object.assign(new Dispatcher(), {
    dispatch(request: Agent.DispatchOptions, handler: Dispatcher.DispatchHandler) {
      look()
      return current.dispatch(request, handler)
    },
    close(callback?: () => void) {
      stop()
      return settle(Promise.all([...agents, current].map(closed)), callback)
    },
    destroy(reason?: Error | null | (() => void), callback?: () => void) {
      stop()
      const error = typeof reason === 'function' ? null : (reason ?? null)
      const all = [...agents, current].map((agent) => agent.destroy(error))
      return settle(Promise.all(all), typeof reason === 'function' ? reason : callback)
    },
  })
}

/** Destroyed is closed too. */
const closed = (agent: Agent): Promise<void> => agent.close().catch(() => undefined)

async function settle(all: Promise<unknown>, callback: (() => void) | undefined): Promise<void> {
  await all
  callback?.()
}

/** Certificate and roots, to tell one identity from the next; none once it ended. */
function identityOf(purser: Pick<Purser, 'x509'>): string | undefined {
  try {
    const { certificateChain, trustBundle } = purser.x509
    return certificateChain + trustBundle
  } catch {
    return undefined
  }
}
