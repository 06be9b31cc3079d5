/** A Purser for unit tests: in this process and in memory. */
import { connectBy } from '../connect.ts'
import { PurserError } from '../errors.ts'
import { keepAlive } from '../time/keep-alive.ts'
import type { ConnectOptions } from '../types/options.ts'
import type { TestWorkload } from './entries.ts'
import type { TestLease } from './leases.ts'
import { type TestRequest, createNetwork } from './network.ts'
import { newId } from './format.ts'
import { createParts } from './parts.ts'
import { type RefusalCode, isRefusalCode } from './refusal.ts'
import type { TestConsumer } from './secrets.ts'
import { createServer } from './server.ts'
import type { Blockable, Revocable as RevocableByLog } from './sessions.ts'
import type { Purser } from '../types/purser.ts'

/** The grants of a workload entry, and every option of `connect()` that does not lead to another server. */
export type TestConnectOptions = TestWorkload &
  Omit<ConnectOptions, 'addr' | 'ca' | 'allowPlainLoopback' | 'audience' | 'attestor' | 'logKey'>

/** The argument of `revoke()`: one name, as `POST /api/v1/revocations` takes it, or a lease. */
export type Revocable = RevocableByLog | { lease: string }

type Rotation = {
  /** Withdraws the earlier keys at once, with everything that they signed. Default: it stays valid. */
  compromised?: boolean
}

/**
 * For tests only: its keys are in memory, and it attests nothing. It issues what the real server issues, and clients verify
 * that in full, including the receipts.
 */
export type TestPurser = {
  readonly trustDomain: string
  /** PEM: the roots that verify the peers of its workloads. */
  readonly roots: string
  /** The log's verifier key. */
  readonly logKey: string
  /** All requests, oldest first, without secrets. */
  readonly requests: readonly TestRequest[]
  /**
   * Connects a client, like `connect()` of the SDK: it renews, emits events, and verifies its credentials. Registers the
   * workload, or changes it by the options. Reads no environment unless the option `env` is set.
   * @throws PurserError like `connect()`
   */
  connect(options: TestConnectOptions): Promise<Purser>
  /** Registers a workload, or changes the members that have a value. @throws PurserError `bad_options` */
  register(workload: TestWorkload): void
  /** Removes a workload. Its sessions end with their next request. */
  unregister(spiffeId: string): void
  /** An unsigned JWT in place of an orchestrator's token. `claims` add to its claims or replace them. */
  proof(spiffeId: string, claims?: Readonly<Record<string, unknown>>): string
  /** A join token for a registered workload. Default: one use within 600 seconds. */
  joinToken(spiffeId: string, options?: { uses?: number; lifetimeSeconds?: number }): string
  /** Replaces the issuing CA. */
  rotateCa(options?: Rotation): Promise<void>
  /** Replaces the root, and the issuing CA under it, which signs once every client has read the new bundle. */
  rotateRoot(options?: Rotation): Promise<void>
  /** Replaces the key of JWT-SVIDs. It signs once every client has read the new bundle. */
  rotateJwtKey(options?: Rotation): Promise<void>
  /**
   * Revokes a certificate (`{ serialNumber }`), a JWT (`{ jti }`), an access token by its id (`{ accessToken }`), a
   * `{ session }` with all of its credentials, or all credentials of a `{ spiffeId }`; then every client reads the CRLs.
   * The session's instance, or the SPIFFE ID, is refused until `release()`. A `{ lease }` ends as if an operator ended it:
   * its session notices at the next renewal.
   * @throws PurserError `not_found`
   */
  revoke(what: Revocable): Promise<void>
  /**
   * Releases the block of a revoked session or SPIFFE ID, so that the instance, or the SPIFFE ID, may attest again.
   * @throws PurserError `not_found`
   */
  release(what: Blockable): void
  /**
   * Writes the next version of a secret and notifies the watches.
   * @returns the version
   * @throws PurserError `bad_options`
   */
  setSecret(path: string, data: Readonly<Record<string, unknown>>): number
  /** Destroys a secret as a whole. @throws PurserError `not_found` */
  removeSecret(path: string): void
  /** The sessions that received a version of a secret, and whether they acknowledged it. */
  consumers(path: string): TestConsumer[]
  /**
   * Creates a database, or changes the lifetimes of its roles: 3600 seconds and at most 86,400 by default. There is no
   * database server: roles are invented, and their user names (`purser_test_…`) and passwords log in nowhere.
   * @throws PurserError `bad_options`
   */
  setDatabase(name: string, options?: { defaultLifetimeSeconds?: number; maxLifetimeSeconds?: number }): void
  /** All leases of a database with their states, oldest first. */
  leases(database: string): TestLease[]
  /** Makes Purser unreachable until `back()`. With `silent`, it receives requests and never answers. */
  away(options?: { silent?: boolean }): void
  /** Ends `away`, `refuse` and `loseAnswers`. */
  back(): void
  /** Acts on the next requests for credentials, by default one, and loses the answers. */
  loseAnswers(times?: number): void
  /**
   * Refuses requests for credentials with a code of docs/errors.md, such as `attestation_failed` or `rate_limited`, until
   * `back()` or for a number of `times`.
   * @throws PurserError `bad_options` for an unknown code
   */
  refuse(code: RefusalCode, options?: { times?: number; retryAfterSeconds?: number }): void
  /** Replaces the newest entry of the log. A client that saw it fails at the next receipt (`log_forked`, event `fork`). */
  fork(): void
  /** Closes every client. */
  close(): void
}

/**
 * Creates a Purser for unit tests, without sockets and files. See `TestPurser`.
 * @param options.trustDomain default: `example.org`
 * @throws PurserError `bad_options`
 */
export function createTestPurser({ trustDomain = 'example.org' }: { trustDomain?: string } = {}): TestPurser {
  if (!/^[a-z0-9._-]{1,255}$/.test(trustDomain))
    throw new PurserError(
      'bad_options',
      'trustDomain is not the name of a trust domain: use a-z, 0-9, dot, hyphen and underscore',
    )
  // TLS uses the machine's clock too, which may be a fake one.
  const parts = createParts(trustDomain, () => new Date())
  const { authority, jwtKeys, ledger, entries, sessions, attestation, now } = parts
  const server = createServer(parts)
  const network = createNetwork(server)
  const clients = new Map<string, Awaited<ReturnType<typeof connectBy>>>()

  async function connect(options: TestConnectOptions): Promise<Purser> {
    const { spiffeId, dnsNames, audiences, secretPaths, databaseNames, lifetimeSeconds, sessionSeconds, ...rest } =
      options
    const { jwtLifetimeSeconds } = rest
    const lifetimes = { lifetimeSeconds, jwtLifetimeSeconds, sessionSeconds }
    entries.put({ spiffeId, dnsNames, audiences, secretPaths, databaseNames, ...lifetimes })
    // A client is one instance in all of its attestations.
    const instance = newId('instance')
    const all = {
      env: {},
      proof: () => Promise.resolve(attestation.proofFor(spiffeId, { jti: instance })),
      ...rest,
      addr: parts.issuer,
      ca: { pem: authority.roots() },
      logKey: ledger.vkey,
    }
    const transport = network.transportFor(() => clients.delete(instance))
    const connected = await keepAlive(() => connectBy(transport, all))
    clients.set(instance, connected)
    return connected.client
  }

  const rereadAll = (): Promise<unknown> => Promise.all([...clients.values()].map(({ reread }) => reread()))

  /** Clients read new keys before these sign, since the real server publishes them ahead. */
  async function rotate(next: { use(): void }, withdraw: () => void, { compromised = false }: Rotation): Promise<void> {
    if (compromised) {
      next.use()
      withdraw()
    }
    server.bundleChanged()
    await rereadAll()
    next.use()
  }

  return {
    trustDomain,
    get roots() {
      return authority.roots()
    },
    logKey: ledger.vkey,
    requests: network.requests,
    connect,
    register: (workload) => void entries.put(workload),
    unregister: (spiffeId) => void entries.remove(spiffeId),
    proof: (spiffeId, claims = {}) => attestation.proofFor(spiffeId, claims),
    joinToken: (spiffeId, { uses = 1, lifetimeSeconds = 600 } = {}) =>
      attestation.joinToken(spiffeId, { uses, lifetimeSeconds }),
    rotateCa: (options = {}) =>
      rotate(authority.publish({ root: false }), () => authority.withdrawOlder({ root: false }, now()), options),
    rotateRoot: (options = {}) =>
      rotate(authority.publish({ root: true }), () => authority.withdrawOlder({ root: true }, now()), options),
    rotateJwtKey: (options = {}) => rotate(jwtKeys.publish(), () => jwtKeys.withdrawOlder(), options),
    setSecret: (path, data) => parts.secrets.set(path, data),
    removeSecret: (path) => parts.secrets.remove(path),
    consumers: (path) => parts.secrets.consumers(path),
    setDatabase: (name, lifetimes = {}) => parts.leases.set(name, lifetimes),
    leases: (database) => parts.leases.list(database),
    async revoke(what) {
      if ('lease' in what) parts.leases.revoke(what.lease)
      else sessions.revoke(what)
      await rereadAll()
    },
    release: (what) => sessions.release(what),
    away: ({ silent = false } = {}) => network.away(silent ? 'silent' : 'unreachable'),
    back: () => network.back(),
    loseAnswers: (times = 1) => network.loseAnswers(times),
    refuse(code, options = {}) {
      if (!isRefusalCode(code))
        throw new PurserError('bad_options', `refuse() does not know the code ${String(code)}: see docs/errors.md`)
      network.refuse(code, options)
    },
    fork: () => ledger.fork(),
    close() {
      for (const { client } of clients.values()) client.close()
    },
  }
}
