/** A dispatcher for undici, and so for `fetch`, that uses only connections of the current identity. */
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
 * A dispatcher for `fetch(url, { dispatcher })` of undici and of Node: mutual TLS with the peers that `accept` names by
 * SPIFFE ID, instead of the URL's host name. After a change of the certificate or the roots, it opens new connections;
 * requests in flight finish, unless their peer is no longer accepted. Only `https:`. Create one and keep it; `close()` ends
 * it, and so does `purser.close()`.
 *
 * @throws PurserError `bad_options`, `not_requested`, `expired`, `closed`; later failures are errors of the request (the
 *   `cause` of the rejection of `fetch`)
 */
export function createDispatcher(purser: Pick<Purser, 'tls' | 'on' | 'x509'>, options: DispatcherOptions): Dispatcher {
  const { accept, connectTimeout = 10_000 } = options
  // Reports wrong options now.
  purser.tls.client({ accept })

  const connect: Connector = ({ protocol, hostname, port, servername, localAddress }, callback) => {
    let timer: NodeJS.Timeout | undefined
    try {
      if (protocol !== 'https:') throw new PurserError('bad_options', `mutual TLS needs https:, not ${protocol}`)
      const source = typeof localAddress === 'string' ? { localAddress } : {}
      const name = servername === undefined ? {} : { servername }
      const host = hostname.replace(/^\[(.*)\]$/, '$1')
      const target = { host, port: Number(port || 443), ALPNProtocols: ['http/1.1'] }
      const socket = purser.tls.connect({ accept, ...target, ...name, ...source })
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
        const leftMs = Date.parse(peerOf(socket).certificate.validTo) - Date.now()
        const renew = setTimeout(replace, Math.min(leftMs, maxMs)).unref()
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
  let isClosed = false

  /** Lets the requests of a replaced agent finish. */
  function retire(agent: Agent): void {
    agents.add(agent)
    void closed(agent).then(() => agents.delete(agent))
  }
  function replace(): void {
    // After close(), another agent would stay open and accept requests.
    if (isClosed) return
    const earlier = current
    current = create()
    retire(earlier)
  }
  function checkIdentity(): void {
    const now = identityOf(purser)
    if (now === identity) return
    identity = now
    replace()
  }

  const removals = [
    purser.on('renewed', checkIdentity),
    purser.on('bundle', checkIdentity),
    purser.on('expired', checkIdentity),
  ]
  const stop = (): void => {
    isClosed = true
    removals.forEach((remove) => remove())
  }

  return Object.assign(new Dispatcher(), {
    dispatch(request: Agent.DispatchOptions, handler: Dispatcher.DispatchHandler) {
      checkIdentity()
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

/** A destroyed agent counts as closed. */
const closed = (agent: Agent): Promise<void> => agent.close().catch(() => undefined)

async function settle(all: Promise<unknown>, callback: (() => void) | undefined): Promise<void> {
  await all
  callback?.()
}

/** Certificate and roots, to detect changes; undefined after the certificate has expired. */
function identityOf(purser: Pick<Purser, 'x509'>): string | undefined {
  try {
    const { certificateChain, trustBundle } = purser.x509
    return certificateChain + trustBundle
  } catch {
    return undefined
  }
}
