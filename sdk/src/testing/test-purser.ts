/** A Purser for unit tests: in this process and in memory, made of the code that clients verify the real one with. */
import { connectBy } from '../connect.ts'
import { PurserError } from '../errors.ts'
import { keepAlive } from '../time/keep-alive.ts'
import type { ConnectOptions } from '../types/options.ts'
import type { TestWorkload } from './entries.ts'
import type { TestLease } from './leases.ts'
import { type TestRequest, createNetwork } from './network.ts'
import { createParts, newId } from './parts.ts'
import { type RefusalCode, isRefusalCode } from './refusal.ts'
import type { TestConsumer } from './secrets.ts'
import { createServer } from './server.ts'
import type { Blockable, Revocable as RevocableByLog } from './sessions.ts'
import type { Purser } from '../types/purser.ts'

/** A workload entry, and any option of `connect()` but those that lead to a server elsewhere. */
export type TestConnectOptions = TestWorkload &
  Omit<ConnectOptions, 'addr' | 'ca' | 'allowPlainLoopback' | 'audience' | 'attestor' | 'logKey'>

/** What `revoke()` takes: one name, as `POST /api/v1/revocations` takes it, or a lease. */
export type Revocable = RevocableByLog | { lease: string }

type Rotation = {
  /** The keys before are withdrawn at once, with all that they signed. Unless so, what they signed stays valid. */
  compromised?: boolean
}

/**
 * For tests alone: its keys are in memory, and it attests nobody. Everything that it issues is what the real one issues,
 * and clients verify it in full, receipts too.
 */
export type TestPurser = {
  readonly trustDomain: string
  /** PEM: what peers of its workloads are verified with. */
  readonly roots: string
  /** The log's verifier key. */
  readonly logKey: string
  /** What was asked so far, without any secret, oldest first. */
  readonly requests: readonly TestRequest[]
  /**
   * A client like any other, as `connect()` gives: it renews, tells its events, and verifies what it gets. Its workload is
   * registered, or changed by what is given here. Nothing is read from the environment unless `env` is given.
   * @throws PurserError what `connect()` throws
   */
  connect(options: TestConnectOptions): Promise<Purser>
  /** Registers a workload, or changes it by what is given. @throws PurserError `bad_options` */
  register(workload: TestWorkload): void
  /** Removes a workload: its sessions are over with the next request. */
  unregister(spiffeId: string): void
  /** What stands in for an orchestrator's token; `claims` are added to it or replace its own. Signed by nobody. */
  proof(spiffeId: string, claims?: Readonly<Record<string, unknown>>): string
  /** A join token for a registered workload: one use and 600 seconds unless given. */
  joinToken(spiffeId: string, options?: { uses?: number; lifetimeSeconds?: number }): string
  /** Another issuing CA signs from now on. */
  rotateCa(options?: Rotation): Promise<void>
  /** Another root, and an issuing CA under it that signs once every connected client has read the new bundle. */
  rotateRoot(options?: Rotation): Promise<void>
  /** Another key signs JWT-SVIDs, once every connected client has read the new bundle. */
  rotateJwtKey(options?: Rotation): Promise<void>
  /**
   * Revokes one thing, and lets every connected client read the CRLs: `{ serialNumber }`, `{ jti }`, `{ accessToken }` by its id, a `{ session }` with all that it was given,
   * or all that a `{ spiffeId }` was given. The session's instance, or the SPIFFE ID, is refused until `release()`. A `{ lease }` is ended as by an operator: its session
   * finds out at the next renewal.
   * @throws PurserError `not_found`
   */
  revoke(what: Revocable): Promise<void>
  /**
   * Releases the block that a revocation of a session or a SPIFFE ID left: its instance, or the SPIFFE ID, may attest again.
   * @throws PurserError `not_found`
   */
  release(what: Blockable): void
  /**
   * Writes the next version of a secret, and tells whoever watches it. Answers the version.
   * @throws PurserError `bad_options`
   */
  setSecret(path: string, data: Readonly<Record<string, unknown>>): number
  /** Destroys a secret as a whole. @throws PurserError `not_found` */
  removeSecret(path: string): void
  /** Which session was given which version of a secret, and whether it said that it uses it. */
  consumers(path: string): TestConsumer[]
  /**
   * Makes a database, or changes how long roles in it live: seconds, 3600 at a time and 86,400 at most unless given. There
   * is no database server behind it: its roles are invented, with user names (`purser_test_…`) and passwords that log in
   * nowhere.
   * @throws PurserError `bad_options`
   */
  setDatabase(name: string, options?: { defaultLifetimeSeconds?: number; maxLifetimeSeconds?: number }): void
  /** The leases that there were in a database, oldest first, and which of them count. */
  leases(database: string): TestLease[]
  /** It can't be reached until `back()`; with `silent` it takes requests and answers none, so that clients wait in vain. */
  away(options?: { silent?: boolean }): void
  /** Ends `away`, `refuse` and `loseAnswers`. */
  back(): void
  /** It acts on the next requests for credentials, one unless given, and its answers get lost on the way. */
  loseAnswers(times?: number): void
  /**
   * Refuses requests for credentials with a code of docs/errors.md, such as `attestation_failed` or `rate_limited`, until
   * `back()` or as often as `times` says.
   * @throws PurserError `bad_options` for a code that it doesn't know
   */
  refuse(code: RefusalCode, options?: { times?: number; retryAfterSeconds?: number }): void
  /** The log denies its newest entry: who saw it finds out at the next receipt (`log_forked`, and the event `fork`). */
  fork(): void
  /** Closes every client. */
  close(): void
}

/** What was given at all: the rest of an entry stays as it is. */
const defined = <T extends object>(all: { [K in keyof T]: T[K] | undefined }): Partial<T> => {
  const kept: Partial<T> = {}
  return Object.assign(kept, Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))
}

/**
 * A Purser for unit tests: no socket, no file, no key that outlives it. See `TestPurser`.
 * @param options.trustDomain `example.org` unless given
 * @throws PurserError `bad_options`
 */
export function createTestPurser({ trustDomain = 'example.org' }: { trustDomain?: string } = {}): TestPurser {
  if (!/^[a-z0-9._-]{1,255}$/.test(trustDomain)) throw new PurserError('bad_options', 'trustDomain is no trust domain')
  // The machine's clock, or the clock of a test: TLS looks at no other.
  const parts = createParts(trustDomain, () => new Date())
  const { authority, jwtKeys, ledger, entries, sessions, attests, now } = parts
  const server = createServer(parts)
  const network = createNetwork(server)
  const clients = new Map<string, Awaited<ReturnType<typeof connectBy>>>()

  async function connect(options: TestConnectOptions): Promise<Purser> {
    const { spiffeId, dnsNames, audiences, secretPaths, databaseNames, lifetimeSeconds, sessionSeconds, ...rest } =
      options
    const { jwtLifetimeSeconds } = rest
    const grants = {
      dnsNames,
      audiences,
      secretPaths,
      databaseNames,
      lifetimeSeconds,
      jwtLifetimeSeconds,
      sessionSeconds,
    }
    entries.put({ spiffeId, ...defined(grants) })
    // One instance, however often it attests.
    const self = newId('instance')
    const all = {
      env: {},
      proof: () => Promise.resolve(attests.proofFor(spiffeId, { jti: self })),
      ...rest,
      addr: parts.issuer,
      ca: { pem: authority.roots() },
      logKey: ledger.vkey,
    }
    const transport = network.transportFor(() => clients.delete(self))
    const connected = await keepAlive(() => connectBy(transport, all))
    clients.set(self, connected)
    return connected.client
  }

  const tellClients = (): Promise<unknown> => Promise.all([...clients.values()].map(({ reread }) => reread()))

  /** Clients learn of new keys before these are used, as they do where bundles are published ahead. */
  async function rotate(next: { use(): void }, withdraw: () => void, { compromised = false }: Rotation): Promise<void> {
    if (compromised) {
      next.use()
      withdraw()
    }
    server.bundleMoved()
    await tellClients()
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
    proof: (spiffeId, claims = {}) => attests.proofFor(spiffeId, claims),
    joinToken: (spiffeId, { uses = 1, lifetimeSeconds = 600 } = {}) =>
      attests.joinToken(spiffeId, { uses, lifetimeSeconds }),
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
      await tellClients()
    },
    release: (what) => sessions.release(what),
    away: ({ silent = false } = {}) => network.away(silent ? 'silent' : 'unreachable'),
    back: () => network.back(),
    loseAnswers: (times = 1) => network.loseAnswers(times),
    refuse(code, options = {}) {
      if (!isRefusalCode(code)) throw new PurserError('bad_options', `this Purser refuses with no code ${String(code)}`)
      network.refuse(code, options)
    },
    fork: () => ledger.fork(),
    close() {
      for (const { client } of clients.values()) client.close()
    },
  }
}
