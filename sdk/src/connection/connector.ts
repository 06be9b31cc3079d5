/** Verified connections for clients with their own protocol code: the `purser` command, agents. */
import type { Socket } from 'node:net'
import { readAddress } from './address.ts'
import { withDeadline } from '../time/deadline.ts'
import { openConnection } from './handshake.ts'
import { keepAlive } from '../time/keep-alive.ts'
import type { CaOption } from '../types/options.ts'
import { chooseTrust, createServerTrust } from './trust.ts'

export { PurserError } from '../errors.ts'

export type Connector = {
  /** `https://host:port`, without a slash at the end. */
  origin: string
  /**
   * A new connection on which nothing was written yet. With a fingerprint, the first call fetches the server's root.
   * @throws PurserError `unreachable`, `untrusted_server`, `fingerprint_mismatch`, `timeout`
   */
  connect(): Promise<Socket>
}

/**
 * Connects to a server and verifies it by the same rules as `connect()`: by the option `ca`, else PURSER_CA_FILE, PURSER_CA_SHA256, else the roots that come with Node.js.
 * @param options.timeoutMs milliseconds for each connection
 * @throws PurserError `bad_options`
 */
export async function createConnector(options: {
  addr: string
  ca?: CaOption
  env: Readonly<Record<string, string | undefined>>
  timeoutMs: number
}): Promise<Connector> {
  const { ca, env, timeoutMs } = options
  const address = readAddress(options.addr, false)
  const trust = await chooseTrust(address, ca, env)
  const server = createServerTrust(trust, address, timeoutMs)
  return {
    origin: address.origin,
    async connect() {
      const connecting = `connecting to ${address.origin}`
      const socket = await keepAlive(() =>
        withDeadline(timeoutMs, [], connecting, async (signal) =>
          openConnection(address, await server.anchors(signal), signal),
        ),
      )
      return socket.ref()
    },
  }
}
