/**
 * Keeps a role in each database that somebody uses: renewed about half of its lifetime in, replaced where it can't be,
 * asked for again where it is over.
 */
import type { Credentials } from '../credentials/fetch-credentials.ts'
import { PurserError, wordsOf } from '../errors.ts'
import type { Wanted } from '../credentials/settings.ts'
import type { Leases } from './leases.ts'
import {
  type Kept,
  type Line,
  type LineParts,
  dueInMs,
  failed,
  isLive,
  newLine,
  place,
  prolong,
  reached,
  succeeded,
} from './holding.ts'
import type { RoleReply } from '../credentials/role.ts'

export type Roles = {
  /** What is held for a database; nothing before anything was. */
  known(name: string): Line | undefined
  /** The same, made where it isn't there: something is to be held. */
  line(name: string): Line
  /** Another role than the one that is held. Calls at the same time share it. */
  obtain: (name: string) => Promise<Kept>
  /** What is held, where it goes on, or another one. Calls at the same time share it. */
  renew: (name: string) => Promise<Kept>
  /** Looks at the clock and at what is wanted now. */
  look(): void
  /** Purser answered. @param session that the newest certificate or access token is of; nothing where neither is new */
  onAnswer(session: Session | undefined): void
}

type Session = { id: string; expiresAt: Date }

type Parts = LineParts & {
  first: { roles: readonly RoleReply[]; serverTime: number; session: Session }
  ask: (wanted: Wanted) => Promise<Credentials>
  leases: Pick<Leases, 'renew'>
  /** Whether it is to be kept, or had, though nobody asks for it now. */
  isWanted: (line: Line) => boolean
  onNew: (line: Line, kept: Kept) => void
  onRenewed: (line: Line, kept: Kept) => void
  onFailed: (line: Line, error: PurserError) => void
  onUp: (line: Line) => void
  closing: AbortSignal
}

/** A clock may jump and a machine may sleep: the clock on the wall is looked at again at the latest then. */
const maxSleepMs = 30_000

export function createRoles(parts: Parts): Roles {
  const { ask, leases, isWanted, onNew, onRenewed, onFailed, onUp, closing, now, elapsed } = parts
  const lines = new Map<string, Line>()
  const obtaining = new Map<string, Promise<Kept>>()
  const renewing = new Map<string, Promise<Kept>>()
  let { session } = parts.first
  let timer: NodeJS.Timeout | undefined
  closing.addEventListener('abort', () => clearTimeout(timer), { once: true })

  function lineOf(name: string): Line {
    const line = lines.get(name) ?? newLine(name)
    lines.set(name, line)
    return line
  }

  function shared(all: Map<string, Promise<Kept>>, name: string, work: (name: string) => Promise<Kept>): Promise<Kept> {
    const underWay = all.get(name) ?? work(name).finally(() => all.delete(name))
    all.set(name, underWay)
    return underWay
  }

  async function obtainOne(name: string): Promise<Kept> {
    const { databases = [], serverTime = now() } = await ask({ jwts: [], databases: [name] })
    const [reply] = databases
    if (!reply) throw new PurserError('bad_reply', 'the server answered without the role')
    const line = lineOf(name)
    const kept = place(parts, line, reply, serverTime)
    succeeded(line, elapsed)
    onUp(line)
    onNew(line, kept)
    look()
    return kept
  }
  const obtain = (name: string): Promise<Kept> => shared(obtaining, name, obtainOne)

  /** @returns whether it goes on; else another one is needed */
  async function extend(line: Line, kept: Kept): Promise<boolean> {
    const extended = await leases.renew(kept.role, closing)
    if (!extended) return false
    const outcome = prolong(parts, kept, extended)
    if (outcome === 'longer') onRenewed(line, kept)
    return outcome !== 'never' && isLive(kept)
  }

  async function renewOne(name: string): Promise<Kept> {
    const line = lineOf(name)
    const { kept } = line
    if (isLive(kept) && !kept.isLast && (await extend(line, kept))) return kept
    return obtain(name)
  }
  const renew = (name: string): Promise<Kept> => shared(renewing, name, renewOne)

  async function attend(line: Line): Promise<void> {
    line.busy = true
    try {
      await renew(line.name)
      succeeded(line, elapsed)
      onUp(line)
    } catch (error) {
      failed(line, error, parts)
      const failure =
        error instanceof PurserError ? error : new PurserError('bad_reply', wordsOf(error), { cause: error })
      if (!closing.aborted) onFailed(line, failure)
    } finally {
      line.busy = false
      look()
    }
  }

  function look(): void {
    if (closing.aborted) return
    const dueIn = (line: Line): number => (line.busy ? Infinity : dueInMs(line, isWanted(line), elapsed))
    for (const line of lines.values()) if (dueIn(line) <= 0) void attend(line)
    clearTimeout(timer)
    const next = Math.min(maxSleepMs, ...[...lines.values()].map(dueIn))
    if (lines.size > 0) timer = setTimeout(look, Math.max(Math.ceil(next), 10)).unref()
  }

  for (const reply of parts.first.roles) place(parts, lineOf(reply.name), reply, parts.first.serverTime)

  return {
    known: (name) => lines.get(name),
    line: lineOf,
    obtain,
    renew,
    look,
    onAnswer(newest = session) {
      const isAnother = newest.id !== session.id
      const isLonger = newest.expiresAt > session.expiresAt
      session = newest
      for (const line of lines.values()) {
        reached(line)
        const { kept } = line
        // Another session's roles are about to go, or gone; and one that was held back may go on now.
        if (kept && (isAnother || (isLonger && kept.isHeldBack))) Object.assign(kept, { renewAtAge: 0 })
      }
      look()
    },
  }
}
