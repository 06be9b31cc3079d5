/** Keeps a role in each database that is in use: renews it about half of its lifetime in, or replaces it. */
import type { Credentials } from '../credentials/fetch-credentials.ts'
import type { RoleReply } from '../credentials/role.ts'
import type { Selection } from '../credentials/settings.ts'
import { PurserError, purserErrorFrom } from '../errors.ts'
import type { Session } from '../types/purser.ts'
import type { Leases } from './leases.ts'
import { type LeasedRole, type RoleState, type RoleStateParts, createRoleState, isLive } from './role-state.ts'

type Parts = RoleStateParts & {
  first: { roles: readonly RoleReply[]; serverTime: number; session: Session }
  fetch: (selection: Selection) => Promise<Credentials>
  leases: Pick<Leases, 'renew'>
  /** Whether to keep a role in this database. */
  isNeeded: (state: RoleState) => boolean
  onNew: (state: RoleState, role: LeasedRole) => void
  onRenewed: (state: RoleState, role: LeasedRole) => void
  onFailed: (state: RoleState, error: PurserError) => void
  onRecovered: (state: RoleState) => void
  closing: AbortSignal
}

/** The wall clock may jump and a machine may sleep, so the clock is read at least this often. */
const maxSleepMs = 30_000

export function createRoles(parts: Parts) {
  const { fetch, leases, isNeeded, onNew, onRenewed, onFailed, onRecovered, closing, now } = parts
  const states = new Map<string, RoleState>()
  const obtaining = new Map<string, Promise<LeasedRole>>()
  const renewing = new Map<string, Promise<LeasedRole>>()
  let { session } = parts.first
  let timer: NodeJS.Timeout | undefined
  closing.addEventListener('abort', () => clearTimeout(timer), { once: true })

  /** The state of a database; creates it. */
  function stateOf(name: string): RoleState {
    const state = states.get(name) ?? createRoleState(parts, name)
    states.set(name, state)
    return state
  }

  function shared(
    pending: Map<string, Promise<LeasedRole>>,
    name: string,
    work: (name: string) => Promise<LeasedRole>,
  ): Promise<LeasedRole> {
    const promise = pending.get(name) ?? work(name).finally(() => pending.delete(name))
    pending.set(name, promise)
    return promise
  }

  async function obtainNow(name: string): Promise<LeasedRole> {
    const { databases = [], serverTime = now() } = await fetch({ jwts: [], databases: [name] })
    const [reply] = databases
    if (!reply) throw new PurserError('bad_reply', 'the server answered without the role')
    const state = stateOf(name)
    const role = state.replace(reply, serverTime)
    state.succeed()
    onRecovered(state)
    onNew(state, role)
    check()
    return role
  }
  /** Gets a new role. Concurrent calls share the request. */
  const obtain = (name: string): Promise<LeasedRole> => shared(obtaining, name, obtainNow)

  /** @returns the renewed role; undefined where another one is needed */
  async function extend(state: RoleState, role: LeasedRole): Promise<LeasedRole | undefined> {
    const extension = await leases.renew(role.role, closing)
    if (!extension) return undefined
    const { extended, outcome } = state.extend(role, extension)
    if (outcome === 'longer') onRenewed(state, extended)
    return outcome !== 'never' && isLive(extended) ? extended : undefined
  }

  async function renewNow(name: string): Promise<LeasedRole> {
    const state = stateOf(name)
    const role = state.current()
    const extended = isLive(role) && !role.isLast ? await extend(state, role) : undefined
    return extended ?? obtain(name)
  }
  /** Renews the current role, or gets a new one. Concurrent calls share the request. */
  const renew = (name: string): Promise<LeasedRole> => shared(renewing, name, renewNow)

  async function attempt(state: RoleState): Promise<void> {
    state.begin()
    try {
      await renew(state.name)
      state.succeed()
      onRecovered(state)
    } catch (error) {
      state.fail(error)
      if (!closing.aborted) onFailed(state, purserErrorFrom(error))
    } finally {
      state.end()
      check()
    }
  }

  /** Renews what is due, and sets the timer. */
  function check(): void {
    if (closing.aborted) return
    const dueInMs = (state: RoleState): number => state.dueInMs(isNeeded(state))
    for (const state of states.values()) if (dueInMs(state) <= 0) void attempt(state)
    clearTimeout(timer)
    const next = Math.min(maxSleepMs, ...[...states.values()].map(dueInMs))
    if (states.size > 0) timer = setTimeout(check, Math.max(Math.ceil(next), 10)).unref()
  }

  for (const reply of parts.first.roles) stateOf(reply.name).replace(reply, parts.first.serverTime)

  return {
    find: (name: string): RoleState | undefined => states.get(name),
    stateOf,
    obtain,
    renew,
    check,
    /** Purser answered. @param newest session of the newest certificate or access token; undefined if neither is new */
    onAnswer(newest: Session | undefined = session): void {
      const isOther = newest.id !== session.id
      const isLonger = newest.expiresAt > session.expiresAt
      session = newest
      for (const state of states.values()) {
        state.reached()
        // Roles of another session end with it; a role that the session's end limited may now live longer.
        if (isOther || (isLonger && state.current()?.isHeldBack)) state.hurry()
      }
      check()
    },
  }
}
