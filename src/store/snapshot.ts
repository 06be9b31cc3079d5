/**
 * Registrations and policy in memory, so that requests need no query to be authorized. A snapshot is immutable. A newer
 * one is built by reading the rows that changed since the revision of the previous one.
 */
import type { Knex } from 'knex'
import type { Database } from './database.ts'
import { readHead } from './log.ts'
import type {
  AccountPinRow,
  ApiTokenRow,
  AttestorRow,
  BlockRow,
  DatabaseRow,
  KeyRow,
  SecretRow,
  WorkloadRow,
} from './rows.ts'
import { type Table, tables } from './snapshot-tables.ts'

export type Snapshot = {
  readonly instanceId: string
  readonly trustDomain: string
  readonly issuer: string
  readonly epoch: number
  readonly size: number
  readonly revision: number
  readonly issuing: boolean
  readonly attestors: ReadonlyMap<string, AttestorRow>
  readonly workloads: ReadonlyMap<string, WorkloadRow>
  readonly pins: ReadonlyMap<string, AccountPinRow>
  readonly blocks: ReadonlyMap<string, BlockRow>
  readonly apiTokens: ReadonlyMap<string, ApiTokenRow>
  readonly keys: ReadonlyMap<string, KeyRow>
  /** By path. */
  readonly secrets: ReadonlyMap<string, SecretRow>
  readonly databases: ReadonlyMap<string, DatabaseRow>
}

const names = Object.values(tables).map((table) => table.name)

/** One query for all tables: most changes affect one table only. */
async function changedTables(tx: Knex, since: number): Promise<Set<string>> {
  const queries = names.map((name) => `select '${name}' as name where exists (select 1 from ${name} where changed > ?)`)
  const { rows } = await tx.raw<{ rows: { name: string }[] }>(
    queries.join(' union all '),
    Array(names.length).fill(since),
  )
  return new Set(rows.map((row) => row.name))
}

/** Reads the changes since `previous`, or everything without it, in one repeatable-read transaction. */
async function readSnapshot(knex: Knex, previous: Snapshot | undefined): Promise<Snapshot> {
  return knex.transaction(
    async (tx) => {
      const head = await readHead(tx)
      if (!head) throw new Error('the database has not been initialized: the log has no head row')
      if (previous && previous.revision === head.revision && previous.epoch === head.epoch) {
        return { ...previous, size: head.size, issuing: head.issuing }
      }
      const since = previous?.revision ?? -1
      const changed = await changedTables(tx, since)
      const read = async <R, T>(
        table: Table<R, T>,
        old: ReadonlyMap<string, T> | undefined,
      ): Promise<ReadonlyMap<string, T>> => {
        if (old && !changed.has(table.name)) return old
        const rows: R[] = await tx(table.name).where('changed', '>', since).orderBy('changed')
        const next = new Map(old)
        for (const row of rows) {
          const [id, value] = table.read(row)
          if (value === undefined) next.delete(id)
          else next.set(id, value)
        }
        return next
      }
      return {
        ...head,
        attestors: await read(tables.attestors, previous?.attestors),
        workloads: await read(tables.workloads, previous?.workloads),
        pins: await read(tables.pins, previous?.pins),
        blocks: await read(tables.blocks, previous?.blocks),
        apiTokens: await read(tables.apiTokens, previous?.apiTokens),
        keys: await read(tables.keys, previous?.keys),
        secrets: await read(tables.secrets, previous?.secrets),
        databases: await read(tables.databases, previous?.databases),
      }
    },
    { isolationLevel: 'repeatable read', readOnly: true },
  )
}

export type Snapshots = {
  current(): Snapshot
  /** Reads the database now. Calls share a read that has not begun yet. */
  refresh(): Promise<Snapshot>
  /** Milliseconds since the database last confirmed the revision. Above 2,000 this replica must not answer about revocations. */
  age(): number
  onChange(listener: (next: Snapshot, previous: Snapshot) => void): void
  /** Runs before a newer snapshot becomes current. If it fails, the snapshot is read again. */
  beforeChange(prepare: (next: Snapshot) => Promise<void>): void
  /** Drops rows that ended before these times, which the sweep has deleted from the database. */
  forgetEnded(before: { blocks: Date; apiTokens: Date }): void
  stop(): Promise<void>
}

const refreshMs = 500

/** Reads the first snapshot and keeps it up to date by LISTEN/NOTIFY and a read twice a second. */
export async function openSnapshots(
  db: Pick<Database, 'knex' | 'listen'>,
  parts: { now: () => number; onError: (error: unknown) => void },
): Promise<Snapshots> {
  let confirmedAt = parts.now()
  let current = await readSnapshot(db.knex, undefined)
  const listeners: ((next: Snapshot, previous: Snapshot) => void)[] = []
  const preparations: ((next: Snapshot) => Promise<void>)[] = []
  let running: Promise<Snapshot> | undefined
  let queued: Promise<Snapshot> | undefined

  const readNext = async (): Promise<Snapshot> => {
    const startedAt = parts.now()
    const next = await readSnapshot(db.knex, current)
    if (next.revision !== current.revision) for (const prepare of preparations) await prepare(next)
    confirmedAt = startedAt
    const previous = current
    current = next
    if (next.revision !== previous.revision || next.epoch !== previous.epoch || next.issuing !== previous.issuing) {
      for (const listener of listeners) listener(next, previous)
    }
    return next
  }
  const refresh = (): Promise<Snapshot> => {
    if (!running) {
      running = readNext().finally(() => (running = undefined))
      return running
    }
    queued ??= running
      .catch(() => undefined)
      .then(() => {
        queued = undefined
        return refresh()
      })
    return queued
  }
  const inBackground = (): void => void refresh().catch(parts.onError)
  const unlisten = await db.listen('purser_revision', inBackground)
  const timer = setInterval(inBackground, refreshMs)
  timer.unref()

  return {
    current: () => current,
    refresh,
    age: () => parts.now() - confirmedAt,
    onChange: (listener) => void listeners.push(listener),
    beforeChange: (prepare) => void preparations.push(prepare),
    forgetEnded(before) {
      const blocks = retain(current.blocks, ({ until }) => until >= before.blocks)
      const apiTokens = retain(current.apiTokens, ({ expiresAt }) => expiresAt >= before.apiTokens)
      if (blocks !== current.blocks || apiTokens !== current.apiTokens) current = { ...current, blocks, apiTokens }
    },
    async stop() {
      clearInterval(timer)
      await unlisten()
      await running?.catch(() => undefined)
    },
  }
}

/** Returns the same map when all rows stay: derived values are cached by the map's identity. */
function retain<T>(rows: ReadonlyMap<string, T>, isLive: (row: T) => boolean): ReadonlyMap<string, T> {
  const live = [...rows].filter(([, row]) => isLive(row))
  return live.length < rows.size ? new Map(live) : rows
}
