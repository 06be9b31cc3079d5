/**
 * Group commit: all pending items leave in one statement and one COMMIT. A process sends one batch at a time, so batches
 * grow under load.
 */
import { Refusal, refuse } from '../errors.ts'
import { type Knex, isConnectionError, isLockTimeout, isRowFault } from '../store/database.ts'
import type { AppendItem, Verdict } from '../store/append-wire.ts'
import { type Appended, appendItems, newBatchId } from '../store/log.ts'
import type { Log, Position } from './log.ts'
import { freeHead, logUnavailable, resolveLostBatch, patience, retryUntil } from './lost-batch.ts'

type Outcome = { kind: 'appended'; position: Position } | Verdict

type Pending = {
  item: AppendItem
  deadline: number
  resolve: (outcome: Outcome) => void
  reject: (error: unknown) => void
}

export type GroupCommit = {
  /**
   * Resolves when the item is durable, or with the verdict that left it out. Rejects with `log_unavailable` when the log
   * cannot be written in time, or the outcome cannot be determined.
   */
  append(item: AppendItem): Promise<Outcome>
  /** Resolves when no item is pending and no batch is on its way. */
  idle(): Promise<void>
}

/** The error for the caller: a refusal, a fault in the item itself, or otherwise that the log cannot be written now. */
const callerError = (error: unknown): unknown =>
  error instanceof Refusal || isRowFault(error) ? error : logUnavailable()

const maxBatch = 256
/** Of ciphertexts in one batch: the head lock is held while Postgres stores them. */
const maxBatchBytes = 4 * 1024 * 1024

/** What two items of one batch may not have in common. */
function uniqueKey({ effects = {} }: AppendItem): string | undefined {
  const { joinToken, claim, write } = effects
  if (write) return `path ${write.path}`
  return joinToken ?? claim?.key.toString('latin1')
}

/** The state of a path under which a write was decided. */
function writtenState({ effects }: AppendItem): string | undefined {
  return effects?.write && `${effects.write.expected} ${effects.write.path}`
}

const isWrite = ({ item }: Pick<Pending, 'item'>): boolean => item.effects?.write !== undefined

type Parts = {
  knex: Knex
  log: Pick<Log, 'advance' | 'epoch' | 'size' | 'rolledBack'>
  now: () => number
  onBatch?: (items: number, seconds: number) => void
  onError?: (error: unknown) => void
}

export function createGroupCommit({ knex, log, now, onBatch, onError }: Parts): GroupCommit {
  let pending: Pending[] = []
  let flushing: Promise<void> | undefined

  /**
   * Two items with the same claim or path never share a batch: the second must see the outcome of the first. Writes come
   * last: all items are judged by the state before the batch, and a read of a version must precede the entry that
   * replaces it.
   */
  function takeBatch(): Pending[] {
    const batch: Pending[] = []
    const later: Pending[] = []
    const keys = new Set<string>()
    let bytes = 0
    for (const waiter of pending) {
      const key = uniqueKey(waiter.item)
      const size = waiter.item.effects?.write?.sealed.ciphertext.length ?? 0
      const fits = batch.length < maxBatch && (bytes === 0 || bytes + size <= maxBatchBytes)
      if (fits && (key === undefined || !keys.has(key))) {
        batch.push(waiter)
        bytes += size
        if (key !== undefined) keys.add(key)
      } else later.push(waiter)
    }
    pending = later
    return [...batch.filter((waiter) => !isWrite(waiter)), ...batch.filter(isWrite)]
  }

  /** Writers of a path that a write of this batch has changed decide again, without an append for each. */
  function settleOutdated(batch: Pending[], { verdicts }: Appended): void {
    const outdated = new Set<string | undefined>()
    batch.forEach(({ item }, n) => {
      const verdict = verdicts.get(n)
      if (isWrite({ item }) && (!verdict || verdict.kind === 'moved')) outdated.add(writtenState(item))
    })
    if (outdated.size === 0) return
    const isOutdated = ({ item }: Pending): boolean => isWrite({ item }) && outdated.has(writtenState(item))
    for (const waiter of pending.filter(isOutdated)) waiter.resolve({ kind: 'moved' })
    pending = pending.filter((waiter) => !isOutdated(waiter))
  }

  async function settle(batch: Pending[], appended: Appended): Promise<void> {
    const items = batch.filter((_, n) => !appended.verdicts.has(n))
    batch.forEach((waiter, n) => {
      const verdict = appended.verdicts.get(n)
      if (verdict) waiter.resolve(verdict)
    })
    if (items.length === 0) return
    const positions = await log.advance(
      appended.epoch,
      appended.first,
      items.map(({ item }) => item.leaf),
      appended.missed,
    )
    positions.forEach((position, n) => items[n]?.resolve({ kind: 'appended', position }))
  }

  const patienceOf = (batch: Pending[]) => ({ until: Math.max(...batch.map((waiter) => waiter.deadline)), now })

  /** Looks up a batch whose answer was lost. Items that were not appended are sent again under another batch id. */
  async function resolveBatch(batch: Pending[], id: string, epoch: number, from: number): Promise<void> {
    const indexByLeaf = await resolveLostBatch(knex, { batch: id, epoch, from }, patienceOf(batch))
    const indexes = batch.map(({ item }) => indexByLeaf.get(item.leaf.toString('base64')))
    const first = Math.min(...indexes.filter((index) => index !== undefined))
    const items = batch.filter((_, n) => indexes[n] !== undefined)
    pending = [...batch.filter((_, n) => indexes[n] === undefined), ...pending]
    if (items.length === 0) return
    const appended = { epoch, first, size: first + items.length, revision: 0, verdicts: new Map() }
    await retryUntil(knex, () => settle(items, appended), patienceOf(batch))
  }

  async function send(batch: Pending[]): Promise<void> {
    const [id, epoch, from] = [newBatchId(), log.epoch(), log.size()]
    const started = now()
    let appended: Appended
    try {
      const items = batch.map((waiter) => waiter.item)
      appended = await appendItems(knex, id, epoch, items, from)
      onBatch?.(batch.length, (now() - started) / 1000)
    } catch (error) {
      onError?.(error)
      if (isConnectionError(error)) return resolveBatch(batch, id, epoch, from)
      if (isLockTimeout(error)) {
        pending = [...batch, ...pending]
        return void (await freeHead(knex))
      }
      if (!isRowFault(error) || batch.length === 1) throw error
      for (const waiter of batch) await send([waiter]).catch(waiter.reject)
      return
    }
    settleOutdated(batch, appended)
    await retryUntil(knex, () => settle(batch, appended), patienceOf(batch))
  }

  async function flush(): Promise<void> {
    // Waits one turn of the event loop, so that items that arrive together share a batch.
    await new Promise((resolve) => setImmediate(resolve))
    while (pending.length > 0) {
      const expired = pending.filter((waiter) => waiter.deadline <= now())
      pending = pending.filter((waiter) => waiter.deadline > now())
      for (const waiter of expired) waiter.reject(logUnavailable())
      const batch = takeBatch()
      if (batch.length === 0) break
      try {
        await send(batch)
      } catch (error) {
        for (const waiter of batch) waiter.reject(callerError(error))
      }
    }
  }

  const startFlush = (): void => {
    flushing ??= flush().finally(() => {
      flushing = undefined
      if (pending.length > 0) startFlush()
    })
  }

  return {
    append: (item) =>
      new Promise((resolve, reject) => {
        // An append to a restored older log would start a second history.
        if (log.rolledBack()) return reject(refuse('issuing_closed'))
        pending.push({ item, deadline: now() + patience, resolve, reject })
        startFlush()
      }),
    async idle() {
      // A flush that ends with pending items starts the next.
      for (let flush = flushing; flush; flush = flushing) await flush
    },
  }
}
