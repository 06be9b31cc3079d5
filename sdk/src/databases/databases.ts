/** `purser.databases`: this session's roles, the watches that follow them, and the early end of unused leases. */
import type { Transport } from '../connection/transport.ts'
import type { Credentials } from '../credentials/fetch-credentials.ts'
import { checkDatabase } from '../credentials/role.ts'
import type { Selection } from '../credentials/settings.ts'
import { PurserError, isConclusive, purserErrorFrom } from '../errors.ts'
import type { Authentication } from '../identity/authentication.ts'
import type { HeldCredentials } from '../renewal/held-credentials.ts'
import { unlessAborted } from '../time/deadline.ts'
import { keepAlive } from '../time/keep-alive.ts'
import type { DatabaseRole, Databases } from '../types/databases.ts'
import { createGiveUp } from './give-up.ts'
import { createLeases } from './leases.ts'
import { type LeasedRole, type RoleState, type RoleStateParts, isLive } from './role-state.ts'
import { createRoles } from './roles.ts'
import { type Subscription, createSubscription } from './subscription.ts'

type Parts = RoleStateParts & {
  transport: Transport
  authentication: Authentication
  held: Pick<HeldCredentials, 'newest' | 'x509' | 'accessToken'>
  /** Requests credentials, in turn with the renewals. */
  obtain: (selection: Selection) => Promise<Credentials>
  /** The answer to the first request. */
  first: Credentials
  /** Databases that `connect()` requested. */
  names: readonly string[]
  onAnswer: (listener: () => void) => unknown
  closing: AbortSignal
  warn: (warning: string) => void
}

export function createDatabases(parts: Parts): Databases {
  const { held, closing, warn, first, names } = parts
  const leases = createLeases(parts)
  const giveUp = createGiveUp({ ...parts, leases })
  const subscriptions = new Map<string, Set<Subscription>>()

  const subscriptionsTo = (name: string): Set<Subscription> => subscriptions.get(name) ?? new Set()
  const openSubscriptions = (name: string): Subscription[] => [...subscriptionsTo(name)].filter(({ isOpen }) => isOpen)

  const roles = createRoles({
    ...parts,
    leases,
    fetch: parts.obtain,
    first: { roles: first.databases ?? [], serverTime: first.serverTime ?? parts.now(), session: first.session },
    isNeeded(state) {
      const role = state.current()
      const isInUse = isLive(role) && role.n === state.lastReturned()
      return openSubscriptions(state.name).length > 0 || names.includes(state.name) || isInUse
    },
    onNew: (state, role) =>
      openSubscriptions(state.name).forEach((subscription) => void deliver(state, role, subscription)),
    onRenewed: ({ name }, { role }) =>
      openSubscriptions(name).forEach((subscription) => subscription.emit('renewed', role)),
    onFailed: (state, error) =>
      openSubscriptions(state.name).forEach((subscription) => subscription.failed(explain(state, error))),
    onRecovered: ({ name }) => openSubscriptions(name).forEach((subscription) => subscription.recovered()),
  })
  // The session counts only with a new certificate or access token: a role that was requested by proof alone may belong
  // to another session, which does not affect the other roles.
  const credentialIds = (): string => `${held.x509()?.value.serialNumber} ${held.accessToken()?.id}`
  let lastIds = credentialIds()
  parts.onAnswer(() => {
    const isNew = credentialIds() !== lastIds
    lastIds = credentialIds()
    roles.onAnswer(isNew ? held.newest().session : undefined)
  })
  // After a restart without Purser, the roles that connect() requested are still missing: gets them when possible.
  for (const name of names) roles.stateOf(name)
  roles.check()

  async function deliver(state: RoleState, { n, role }: LeasedRole, subscription: Subscription): Promise<void> {
    subscription.deliveries++
    // Gives the caller of watch() a turn to add listeners.
    await Promise.resolve()
    const outcome = await subscription.deliver(role)
    subscription.deliveries--
    if (outcome === 'done' && subscription.givesUp) subscription.switchedTo = Math.max(subscription.switchedTo, n)
    const all = subscriptionsTo(state.name)
    if (!subscription.isOpen && subscription.deliveries === 0) all.delete(subscription)
    if (outcome !== 'done' || closing.aborted) return
    const oldestInUse = Math.min(subscription.switchedTo, ...[...all].map(({ switchedTo }) => switchedTo))
    for (const unused of state.release(oldestInUse)) void giveUp(unused)
  }

  function explain(state: RoleState, error: unknown): PurserError {
    const cause = purserErrorFrom(error)
    const role = state.current()
    if (!role || role.life.leftMs() > 0 || isConclusive(cause)) return cause
    const end = role.role.expiresAt.toISOString()
    const message = `the role in ${state.name} expired at ${end} and could not be replaced: ${cause.message}`
    return new PurserError('expired', message, { cause })
  }

  async function request(
    name: string,
    work: (name: string) => Promise<LeasedRole>,
    signal?: AbortSignal,
  ): Promise<DatabaseRole> {
    try {
      return toCaller(name, await keepAlive(() => unlessAborted(signal, () => work(name))))
    } catch (error) {
      const state = roles.find(name)
      throw state ? explain(state, error) : error
    }
  }

  function toCaller(name: string, { n, role }: LeasedRole): DatabaseRole {
    const state = roles.stateOf(name)
    if (state.lastReturned() !== n) {
      state.returned(n)
      roles.check()
    }
    return role
  }

  return {
    async get(database, { fresh = false, signal } = {}) {
      if (closing.aborted) throw closing.reason
      const name = checkDatabase(database)
      const role = roles.find(name)?.current()
      if (isLive(role) && !fresh) return toCaller(name, role)
      return request(name, isLive(role) ? roles.renew : roles.obtain, signal)
    },

    watch(database, listener, { signal, giveUp: givesUp = true } = {}) {
      if (closing.aborted) throw closing.reason
      const name = checkDatabase(database)
      const state = roles.stateOf(name)
      const current = state.current()
      const role = isLive(current) ? current : undefined
      const isNew = role !== undefined && role.n !== state.lastReturned()
      const close = (): void => subscription.watch.close()
      const subscription = createSubscription(name, {
        switchedTo: role && !isNew ? role.n : 0,
        givesUp,
        warn,
        onClose() {
          if (subscription.deliveries === 0) subscriptionsTo(name).delete(subscription)
          signal?.removeEventListener('abort', close)
        },
      })
      if (listener) subscription.watch.on('change', listener)
      if (signal?.aborted) {
        close()
        return subscription.watch
      }
      signal?.addEventListener('abort', close, { once: true })
      subscriptions.set(name, subscriptionsTo(name).add(subscription))
      if (isNew) void deliver(state, role, subscription)
      roles.check()
      return subscription.watch
    },
  }
}
