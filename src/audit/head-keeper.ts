/**
 * Rollback detection: once a second, off the path of any request, the newest signed head goes to places outside of the
 * database, and the database's head is held against what those places and this process know.
 */
import { parseCheckpoint, parseNote } from '@purser/sdk/verify'
import { Refusal } from '../errors.ts'
import { isConnectionError, isLockTimeout } from '../store/database.ts'
import type { Head } from '../store/log.ts'
import type { StoredHead, HeadPlace } from './head-places.ts'
import { type HeadEvidence, type LogIdentity, contradiction, isSigned } from './head-evidence.ts'
import { type Doubt, rollback } from './doubt.ts'
import type { Log } from './log.ts'
import type { Tree } from './tree.ts'

export type HeadKeeper = {
  /** One round at every place; resolves when it is over, whatever came of it. */
  round(): Promise<void>
  /** A last round, so that what a server issued last is known when it starts again. */
  stop(): Promise<void>
}

type DatabaseHead = Pick<Head, 'epoch' | 'size' | 'closed' | 'server' | 'synchronous'>

type Parts = {
  log: Pick<Log, 'epoch' | 'size' | 'head' | 'signed' | 'confirm' | 'doubt'>
  identity: () => LogIdentity
  /** The head row of the database. */
  readHead: () => Promise<DatabaseHead | undefined>
  /** The log's tree as the database has it now, past all that this process remembers. */
  readTree: (head: DatabaseHead) => Promise<Pick<Tree, 'size' | 'rootAt'>>
  /** Why the log must not go on at this server of the database. */
  judgeServer: (head: DatabaseHead) => Promise<Doubt | undefined>
  /** Closes the log for every replica. */
  closeForAll: (reason: string, head: DatabaseHead) => Promise<unknown>
  /** Of each, a head must be read, or its absence, before anything is issued; later failures are only told. */
  places: readonly HeadPlace[]
  /** `again`: it failed the last time too. */
  onFailure: (where: string, error: unknown, again: boolean) => void
  onKept?: (head: { epoch: number; size: number }) => void
}

const everyMs = 1000
const isUnreachable = (error: unknown): boolean => isConnectionError(error) || isLockTimeout(error)
/** Of one round. */
const maxTries = 5

/** Runs the first round; whether the log is open then, `log.doubt` says. */
export async function startHeadKeeper(parts: Parts): Promise<HeadKeeper> {
  const { log, places } = parts
  /** What each place held when it was last compared or written; empty where it held nothing. */
  const agreed = new Map<HeadPlace, string>()

  const failing = new Set<HeadPlace>()
  function fail(place: HeadPlace, error: unknown): void {
    parts.onFailure(place.where, error, failing.has(place))
    failing.add(place)
  }

  const unread = (): Doubt | undefined => {
    const place = places.find((place) => !agreed.has(place))
    if (!place) return undefined
    const detail = `the head in ${place.where} could not be read yet: it may be newer`
    return { kind: 'unread', detail, permanent: false }
  }

  /**
   * In this order: whatever a place or this process knows was committed before the database is asked.
   * Answers false where another replica was faster, so that what it wrote has to be looked at.
   */
  async function tryAt(place: HeadPlace): Promise<boolean> {
    const found = await place.read().catch((error) => {
      fail(place, error)
      return undefined
    })
    const before = log.size()
    const head = await parts.readHead()
    if (!head) return true
    try {
      await log.confirm(head.epoch, head.size, async (tree) => {
        const detail =
          head.size < before
            ? `the database's log has ${head.size} entries, this process has seen ${before}`
            : ((await compare(tree, place, found)) ?? head.closed?.reason)
        if (detail !== undefined) return rollback(detail)
        return unread() ?? parts.judgeServer(head)
      })
    } finally {
      if (log.doubt()?.kind === 'rollback' && !head.closed) await closeForAll(place, found)
    }
    if (!found) return true
    const done = log.doubt() !== undefined || (await keep(place, found))
    failing.delete(place)
    return done
  }

  /**
   * Only where the database, as it is now, contradicts a head that its own log key signed. A file of another deployment
   * closes this replica alone, and the newest database is not closed where a replica that was on an older one finds it.
   * The database is read after the evidence: it has what was signed before, unless it was put back.
   */
  async function closeForAll(place: HeadPlace, found: StoredHead | undefined): Promise<void> {
    const own = log.signed()
    const evidence: HeadEvidence[] = [
      ...(found && found.note !== '' ? [{ where: place.where, note: found.note }] : []),
      ...(own ? [{ where: 'a replica', note: own.note }] : []),
    ]
    const head = await parts.readHead()
    if (!head || head.closed) return
    const tree = await parts.readTree(head)
    for (const known of evidence) {
      if (!isSigned(known, parts.identity())) continue
      const reason = await contradiction(tree, { ...parts.identity(), epoch: head.epoch }, known)
      if (reason !== undefined) return void (await parts.closeForAll(reason, head))
    }
  }

  /** What beat us is most often newer than ours, and then nothing is left to write. */
  async function roundAt(place: HeadPlace): Promise<void> {
    for (let tries = 0; tries < maxTries; tries++) if (await tryAt(place)) return
  }

  /** @param found an object, so that a place that holds nothing is not one that can't be read */
  async function compare(tree: Tree, place: HeadPlace, found: StoredHead | undefined): Promise<string | undefined> {
    if (!found || found.note === agreed.get(place)) return undefined
    const { note } = found
    const detail = note === '' ? undefined : await contradiction(tree, parts.identity(), { where: place.where, note })
    if (detail === undefined) agreed.set(place, note)
    return detail
  }

  /** Other replicas write the same places: only a head that is older than ours is replaced. */
  async function keep(place: HeadPlace, found: StoredHead): Promise<boolean> {
    const { note, size } = log.head()
    if (isOlder(agreed.get(place) ?? '', note)) {
      if (!(await place.write(note, found))) return false
      agreed.set(place, note)
    }
    parts.onKept?.({ epoch: log.epoch(), size })
    return true
  }

  const running = new Map<HeadPlace, Promise<void>>()
  function once(place: HeadPlace): Promise<void> {
    const current =
      running.get(place) ??
      roundAt(place)
        // A refusal is the log's own word that it is closed; of a database out of reach others tell.
        .catch((error) => void (error instanceof Refusal || isUnreachable(error) || fail(place, error)))
        .finally(() => running.delete(place))
    running.set(place, current)
    return current
  }
  const round = async (): Promise<void> => void (await Promise.all(places.map(once)))

  await round()
  const timer = setInterval(() => void round(), everyMs)
  timer.unref()
  return {
    round,
    async stop() {
      clearInterval(timer)
      await Promise.all(running.values())
      await round()
    },
  }
}

/** By epoch, then by size. Both were signed by our own log. */
function isOlder(kept: string, note: string): boolean {
  const [a, b] = [positionOf(kept), positionOf(note)]
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.size < b.size)
}

function positionOf(note: string): { epoch: number; size: number } {
  if (note === '') return { epoch: 0, size: 0 }
  const { origin, size } = parseCheckpoint(parseNote(note).text)
  return { epoch: Number(origin.slice(origin.lastIndexOf('/') + 1)), size }
}
