/**
 * Rollback detection. Once a second and outside of requests, it writes the newest signed head to places outside of the
 * database, and compares the log in the database with the heads of those places and of this process.
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
  /** Runs one round at every place. Never rejects. */
  round(): Promise<void>
  /** Runs a last round, so that the places have the last head at the next start. */
  stop(): Promise<void>
}

type DatabaseHead = Pick<Head, 'epoch' | 'size' | 'closed' | 'server' | 'synchronous'>

type Parts = {
  log: Pick<Log, 'epoch' | 'size' | 'head' | 'signed' | 'confirm' | 'doubt'>
  identity: () => LogIdentity
  /** Reads the head row. */
  readHead: () => Promise<DatabaseHead | undefined>
  /** Reads the tree from the database, without the memory of this process. */
  readTree: (head: DatabaseHead) => Promise<Pick<Tree, 'size' | 'rootAt'>>
  /** Why the log must not continue on this database server; undefined when it may. */
  judgeServer: (head: DatabaseHead) => Promise<Doubt | undefined>
  /** Closes the log for every replica. */
  closeForAll: (reason: string, head: DatabaseHead) => Promise<unknown>
  /** Before anything is issued, each place must have been read once. Later failures are only reported. */
  places: readonly HeadPlace[]
  /** `again`: the previous round failed too. */
  onFailure: (where: string, error: unknown, again: boolean) => void
  onKept?: (head: { epoch: number; size: number }) => void
}

const everyMs = 1000
const isUnreachable = (error: unknown): boolean => isConnectionError(error) || isLockTimeout(error)
/** Tries of one round. */
const maxTries = 5

/** Runs the first round. Afterwards `log.doubt` says whether the log is open. */
export async function startHeadKeeper(parts: Parts): Promise<HeadKeeper> {
  const { log, places } = parts
  /** The note of each place when it was last compared or written; empty when it had none. */
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
   * Reads the place before the database, so that the database has everything that the head covers.
   * Returns false when another replica wrote the place meanwhile, so that it must be read again.
   */
  async function tryAt(place: HeadPlace): Promise<boolean> {
    const stored = await place.read().catch((error) => {
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
            : ((await compare(tree, place, stored)) ?? head.closed?.reason)
        if (detail !== undefined) return rollback(detail)
        return unread() ?? parts.judgeServer(head)
      })
    } finally {
      if (log.doubt()?.kind === 'rollback' && !head.closed) await closeForAll(place, stored)
    }
    if (!stored) return true
    const done = log.doubt() !== undefined || (await keep(place, stored))
    failing.delete(place)
    return done
  }

  /**
   * Closes the log for every replica, but only when the database contradicts a head that its own log key signed. A file of
   * another deployment closes this replica alone, and a replica that was on an older database does not close the newest
   * one. The database is read after the evidence: it has every signed entry, unless it was restored.
   */
  async function closeForAll(place: HeadPlace, stored: StoredHead | undefined): Promise<void> {
    const own = log.signed()
    const evidence: HeadEvidence[] = [
      ...(stored && stored.note !== '' ? [{ where: place.where, note: stored.note }] : []),
      ...(own ? [{ where: 'a replica', note: own.note }] : []),
    ]
    const head = await parts.readHead()
    if (!head || head.closed) return
    const tree = await parts.readTree(head)
    for (const item of evidence) {
      if (!isSigned(item, parts.identity())) continue
      const reason = await contradiction(tree, { ...parts.identity(), epoch: head.epoch }, item)
      if (reason !== undefined) return void (await parts.closeForAll(reason, head))
    }
  }

  /** Retries after a concurrent write. The other head is mostly newer, and then nothing is left to write. */
  async function roundAt(place: HeadPlace): Promise<void> {
    for (let tries = 0; tries < maxTries; tries++) if (await tryAt(place)) return
  }

  /** @param stored undefined when the place can't be read; an empty note when it has no head */
  async function compare(tree: Tree, place: HeadPlace, stored: StoredHead | undefined): Promise<string | undefined> {
    if (!stored || stored.note === agreed.get(place)) return undefined
    const { note } = stored
    const detail = note === '' ? undefined : await contradiction(tree, parts.identity(), { where: place.where, note })
    if (detail === undefined) agreed.set(place, note)
    return detail
  }

  /** Replaces a head only when it is older than ours, since other replicas write the same places. */
  async function keep(place: HeadPlace, stored: StoredHead): Promise<boolean> {
    const { note, size } = log.head()
    if (isOlder(agreed.get(place) ?? '', note)) {
      if (!(await place.write(note, stored))) return false
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
        // A refusal means that the log is closed, and other parts report an unreachable database.
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

/** Compares by epoch, then by size. Our own log signed both. */
function isOlder(stored: string, note: string): boolean {
  const [a, b] = [positionOf(stored), positionOf(note)]
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.size < b.size)
}

function positionOf(note: string): { epoch: number; size: number } {
  if (note === '') return { epoch: 0, size: 0 }
  const { origin, size } = parseCheckpoint(parseNote(note).text)
  return { epoch: Number(origin.slice(origin.lastIndexOf('/') + 1)), size }
}
