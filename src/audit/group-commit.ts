/**
 * Group commit: whatever is waiting when the last batch came back leaves together, in one statement and one COMMIT.
 * One batch is under way at a time in a process, so under load batches grow by themselves.
 */
import { Refusal, refuse } from '../errors.ts'
import { type Knex, isConnectionError, isLockTimeout, isRowFault } from '../store/database.ts'
import { type AppendItem, type Appended, type Verdict, appendItems, newBatchId } from '../store/log.ts'
import type { Log, Position } from './log.ts'
import { freeHead, logUnavailable, resolveLostBatch, patience, retryUntil } from './lost-batch.ts'

type Outcome = { kind: 'appended'; position: Position } | Verdict

type Pending = {
  item: AppendItem
  deadline: number
  resolve: (placed: Outcome) => void
  reject: (error: unknown) => void
}

export type GroupCommit = {
  /**
   * Resolves once the item is durable, or with the verdict that left it out. Rejects with `log_unavailable` when the
   * log can't be written in time, or when nobody can tell whether it was.
   */
  append(item: AppendItem): Promise<Outcome>
  /** Resolves when nothing is waiting or under way. */
  idle(): Promise<void>
}

/** What is wrong with the item itself is our own fault; anything else, and the log can't be written now. */
const callerError = (error: unknown): unknown =>
  error instanceof Refusal || isRowFault(error) ? error : logUnavailable()

const maxInBatch = 256

type Parts = {
  knex: Knex
  log: Pick<Log, 'advance' | 'epoch' | 'size' | 'rolledBack'>
  now: () => number
  onBatch?: (items: number, seconds: number) => void
  onError?: (error: unknown) => void
}

export function createGroupCommit({ knex, log, now, onBatch, onError }: Parts): GroupCommit {
  let waiting: Pending[] = []
  let flushing: Promise<void> | undefined

  /** Two items with one claim never share a batch: the second must see what became of the first. */
  function takeBatch(): Pending[] {
    const batch: Pending[] = []
    const later: Pending[] = []
    const claims = new Set<string>()
    for (const waiter of waiting) {
      const { joinToken, claim: once } = waiter.item.effects ?? {}
      const claim = joinToken ?? once?.key.toString('latin1')
      if (batch.length < maxInBatch && (claim === undefined || !claims.has(claim))) {
        batch.push(waiter)
        if (claim !== undefined) claims.add(claim)
      } else later.push(waiter)
    }
    waiting = later
    return batch
  }

  async function settle(batch: Pending[], appended: Appended): Promise<void> {
    const placed = batch.filter((_, n) => !appended.verdicts.has(n))
    batch.forEach((waiter, n) => {
      const verdict = appended.verdicts.get(n)
      if (verdict) waiter.resolve(verdict)
    })
    if (placed.length === 0) return
    const positions = await log.advance(
      appended.epoch,
      appended.first,
      placed.map((waiter) => waiter.item.leaf),
    )
    positions.forEach((position, n) => placed[n]?.resolve({ kind: 'appended', position }))
  }

  const patienceOf = (batch: Pending[]) => ({ until: Math.max(...batch.map((waiter) => waiter.deadline)), now })

  /** The answer was lost. What is found was appended; what is not, goes again under another id. */
  async function recover(batch: Pending[], id: string, epoch: number, from: number): Promise<void> {
    const found = await resolveLostBatch(knex, { batch: id, epoch, from }, patienceOf(batch))
    const indexes = batch.map((waiter) => found.get(waiter.item.leaf.toString('base64')))
    const first = Math.min(...indexes.filter((index) => index !== undefined))
    const kept = batch.filter((_, n) => indexes[n] !== undefined)
    waiting = [...batch.filter((_, n) => indexes[n] === undefined), ...waiting]
    if (kept.length === 0) return
    const appended = { epoch, first, size: first + kept.length, revision: 0, verdicts: new Map() }
    await retryUntil(knex, () => settle(kept, appended), patienceOf(batch))
  }

  async function send(batch: Pending[]): Promise<void> {
    const [id, epoch, from] = [newBatchId(), log.epoch(), log.size()]
    const started = now()
    let appended: Appended
    try {
      const items = batch.map((waiter) => waiter.item)
      appended = await appendItems(knex, id, epoch, items)
      onBatch?.(batch.length, (now() - started) / 1000)
    } catch (error) {
      onError?.(error)
      if (isConnectionError(error)) return recover(batch, id, epoch, from)
      if (isLockTimeout(error)) {
        waiting = [...batch, ...waiting]
        return void (await freeHead(knex))
      }
      if (!isRowFault(error) || batch.length === 1) throw error
      for (const waiter of batch) await send([waiter]).catch(waiter.reject)
      return
    }
    await retryUntil(knex, () => settle(batch, appended), patienceOf(batch))
  }

  async function flush(): Promise<void> {
    // One turn, so that what arrives together leaves together.
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) {
      const late = waiting.filter((waiter) => waiter.deadline <= now())
      waiting = waiting.filter((waiter) => waiter.deadline > now())
      for (const waiter of late) waiter.reject(logUnavailable())
      const batch = takeBatch()
      if (batch.length === 0) break
      try {
        await send(batch)
      } catch (error) {
        for (const waiter of batch) waiter.reject(callerError(error))
      }
    }
  }

  const kick = (): void => {
    flushing ??= flush().finally(() => {
      flushing = undefined
      if (waiting.length > 0) kick()
    })
  }

  return {
    append: (item) =>
      new Promise((resolve, reject) => {
        // What is appended to a log that was put back would be a second history.
        if (log.rolledBack()) return reject(refuse('issuing_closed'))
        waiting.push({ item, deadline: now() + patience, resolve, reject })
        kick()
      }),
    async idle() {
      // A flush that ends with something waiting starts the next.
      for (let flush = flushing; flush; flush = flushing) await flush
    },
  }
}
