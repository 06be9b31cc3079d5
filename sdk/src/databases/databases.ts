/** `purser.databases`: roles of this session's own, whoever wants to be told of the next one, and the end of the last. */
import { unlessAborted } from '../time/deadline.ts'
import { PurserError, isConclusive, wordsOf } from '../errors.ts'
import type { Credentials } from '../credentials/fetch-credentials.ts'
import type { Held } from '../renewal/held-credentials.ts'
import { holding } from '../time/keep-alive.ts'
import type { Credential } from '../identity/authentication.ts'
import type { Wanted } from '../credentials/settings.ts'
import type { Transport } from '../connection/transport.ts'
import { createGiveUp } from './give-up.ts'
import { createRoles } from './roles.ts'
import { createLeases } from './leases.ts'
import { type Kept, type Line, type LineParts, isLive } from './holding.ts'
import { checkDatabase } from '../credentials/role.ts'
import { type Follower, createFollower } from './subscription.ts'
import type { DatabaseRole, Databases } from '../types/databases.ts'

type Parts = LineParts & {
  transport: Transport
  credential: Credential
  held: Pick<Held, 'newest' | 'x509' | 'accessToken'>
  /** One request for credentials, among the renewals. */
  obtain: (wanted: Wanted) => Promise<Credentials>
  /** Came with the first request. */
  first: Credentials
  wanted: readonly string[]
  /** Answers how to stop listening. */
  onAnswer: (hear: () => void) => unknown
  closing: AbortSignal
  warn: (warning: string) => void
}

export function createDatabases(parts: Parts): Databases {
  const { held, closing, warn, first } = parts
  const leases = createLeases(parts)
  const giveUp = createGiveUp({ ...parts, leases })
  const followers = new Map<string, Set<Follower>>()

  const followersOf = (name: string): Set<Follower> => followers.get(name) ?? new Set()
  const openOnes = (name: string): Follower[] => [...followersOf(name)].filter(({ isOpen }) => isOpen)

  const roles = createRoles({
    ...parts,
    leases,
    ask: parts.obtain,
    first: {
      roles: first.databases ?? [],
      serverTime: first.serverTime ?? parts.now(),
      session: first.session,
    },
    isWanted: ({ name, kept, gave }) =>
      openOnes(name).length > 0 || parts.wanted.includes(name) || (isLive(kept) && kept.n === gave),
    onNew: (line, kept) => openOnes(line.name).forEach((follower) => void deliver(line, kept, follower)),
    onRenewed: ({ name }, { role }) => openOnes(name).forEach((follower) => follower.tell('renewed', role)),
    onFailed: (line, error) => openOnes(line.name).forEach((follower) => follower.failed(errorOf(line, error))),
    onUp: ({ name }) => openOnes(name).forEach((follower) => follower.recovered()),
  })
  // A role that was asked for by proof alone may be of a session of its own, which says nothing of the others.
  const shown = (): string => `${held.x509()?.value.serialNumber} ${held.accessToken()?.id}`
  let before = shown()
  parts.onAnswer(() => {
    const isNew = shown() !== before
    before = shown()
    roles.onAnswer(isNew ? held.newest().session : undefined)
  })
  // What was asked for at the start and isn't there, after a restart without Purser, is had as soon as it can be.
  for (const name of parts.wanted) roles.line(name)
  roles.look()

  async function deliver(line: Line, kept: Kept, to: Follower): Promise<void> {
    to.telling++
    // Whoever watches has a turn to add its listeners.
    await Promise.resolve()
    const outcome = await to.deliver(kept.role)
    to.telling--
    if (outcome === 'done' && to.givesUp) to.at = Math.max(to.at, kept.n)
    const all = followersOf(line.name)
    if (!to.isOpen && to.telling === 0) all.delete(to)
    if (outcome === 'done') giveUpBefore(line, Math.min(to.at, ...[...all].map(({ at }) => at)))
  }

  /** Everybody who watches uses this one, or a later one. */
  function giveUpBefore(line: Line, n: number): void {
    if (closing.aborted) return
    const over = line.before.filter((kept) => kept.n < n)
    line.before = line.before.filter((kept) => kept.n >= n)
    for (const kept of over) void giveUp(kept)
  }

  const errorOf = ({ name, kept }: Line, error: unknown): PurserError => {
    const known = error instanceof PurserError ? error : new PurserError('bad_reply', wordsOf(error), { cause: error })
    if (!kept || kept.life.leftMs() > 0 || isConclusive(known)) return known
    const end = kept.role.expiresAt.toISOString()
    const words = `the role in ${name} ended at ${end}, and no other could be had: ${known.message}`
    return new PurserError('expired', words, { cause: known })
  }

  async function ask(name: string, work: (name: string) => Promise<Kept>, signal?: AbortSignal): Promise<DatabaseRole> {
    try {
      return give(name, await holding(() => unlessAborted(signal, () => work(name))))
    } catch (error) {
      const line = roles.known(name)
      throw line ? errorOf(line, error) : error
    }
  }

  function give(name: string, kept: Kept): DatabaseRole {
    const line = roles.line(name)
    if (line.gave !== kept.n) {
      line.gave = kept.n
      roles.look()
    }
    return kept.role
  }

  return {
    async get(given, { fresh = false, signal } = {}) {
      if (closing.aborted) throw closing.reason
      const name = checkDatabase(given)
      const kept = roles.known(name)?.kept
      if (isLive(kept) && !fresh) return give(name, kept)
      return ask(name, isLive(kept) ? roles.renew : roles.obtain, signal)
    },

    watch(given, listener, { signal, giveUp: givesUp = true } = {}) {
      if (closing.aborted) throw closing.reason
      const name = checkDatabase(given)
      const line = roles.line(name)
      const kept = isLive(line.kept) ? line.kept : undefined
      const isNews = kept !== undefined && kept.n !== line.gave
      const close = (): void => follower.watch.close()
      const follower = createFollower(name, {
        at: kept && !isNews ? kept.n : 0,
        givesUp,
        warn,
        onClose() {
          if (follower.telling === 0) followersOf(name).delete(follower)
          signal?.removeEventListener('abort', close)
        },
      })
      if (listener) follower.watch.on('change', listener)
      if (signal?.aborted) {
        close()
        return follower.watch
      }
      signal?.addEventListener('abort', close, { once: true })
      followers.set(name, followersOf(name).add(follower))
      if (isNews) void deliver(line, kept, follower)
      roles.look()
      return follower.watch
    },
  }
}
