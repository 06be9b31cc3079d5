/**
 * Registrations and policy in memory, so that requests need no query to be authorized.
 *
 * Rows are immutable. Small tables are copied when they change; workload entries, blocks and pins are updated in place,
 * so that an update costs what changed. A snapshot that is held across an update therefore shows newer rows under its
 * older revision. This is safe, since nothing is decided by it alone: the append compares the revision, and a decision
 * under an older one is judged again.
 */
import type { Knex } from 'knex'
import type { Database } from './database.ts'
import type { Head } from './log.ts'
import { type Blocks, BlockTable } from './memory/blocks.ts'
import { type Pins, PinTable } from './memory/pins.ts'
import { type Workloads, WorkloadTable } from './memory/workloads.ts'
import type { ApiTokenRow, AttestorRow, DatabaseRow, KeyRow, OperatorRow } from './rows.ts'
import { loadTables, readChangedRows } from './snapshot-rows.ts'
import { sharedRead } from './shared-read.ts'
import type { ChangedRow, ChangedRows } from './snapshot-tables.ts'

export type Snapshot = {
  readonly instanceId: string
  readonly trustDomain: string
  readonly issuer: string
  readonly epoch: number
  readonly size: number
  readonly revision: number
  readonly issuing: boolean
  readonly attestors: ReadonlyMap<string, AttestorRow>
  readonly workloads: Workloads
  readonly pins: Pins
  readonly blocks: Blocks
  readonly apiTokens: ReadonlyMap<string, ApiTokenRow>
  /** By name. */
  readonly operators: ReadonlyMap<string, OperatorRow>
  readonly keys: ReadonlyMap<string, KeyRow>
  readonly databases: ReadonlyMap<string, DatabaseRow>
  /** Set where this one is narrowed to what a caller may know (authorize/scope.ts). */
  readonly whole?: Snapshot
}

/** For decisions that must not depend on what their caller may know. */
export const wholeOf = (snapshot: Snapshot): Snapshot => snapshot.whole ?? snapshot

/** A newer snapshot, the one before, and the rows that differ. */
export type SnapshotUpdate = { next: Snapshot; previous: Snapshot; rows: ChangedRows }

export type Snapshots = {
  current(): Snapshot
  /** Reads the database now. Calls share a read that has not begun yet. */
  refresh(): Promise<Snapshot>
  /** Milliseconds since the database last confirmed the revision. Above 2,000 this replica must not answer about revocations. */
  age(): number
  onChange(listener: (update: SnapshotUpdate) => void): void
  /** Runs before keys become current. If it fails, the changes are read again. */
  beforeKeys(prepare: (keys: readonly KeyRow[]) => Promise<void>): void
  /** Drops rows that ended before these times, which the sweep has deleted from the database. */
  forgetEnded(before: { blocks: Date; apiTokens: Date }): void
  stop(): Promise<void>
}

type Parts = {
  now: () => number
  onError: (error: unknown) => void
  /** If it is set, `blocks.revokedCertificates()` tells whether more certificates than this are revoked. */
  crlShardAbove?: number
  /** Called during a long first read, with the rows of a table so far. */
  onProgress?: (table: string, rows: number) => void
}

const refreshMs = 500

/** Reads the first snapshot and keeps it up to date by LISTEN/NOTIFY and a read twice a second. */
export async function openSnapshots(db: Pick<Database, 'knex' | 'listen'>, parts: Parts): Promise<Snapshots> {
  let confirmedAt = parts.now()
  const tables = createTables()
  let current = await firstSnapshot(db.knex, tables, parts)
  const listeners: ((update: SnapshotUpdate) => void)[] = []
  const preparations: ((keys: readonly KeyRow[]) => Promise<void>)[] = []
  let reading: Promise<Snapshot> | undefined

  const readNext = async (): Promise<Snapshot> => {
    const startedAt = parts.now()
    const { head, rows } = await readChangedRows(db.knex, current)
    const keys = (rows.keys ?? []).flatMap(([, row]) => row ?? [])
    if (keys.length > 0) for (const prepare of preparations) await prepare(keys)
    confirmedAt = startedAt
    if (isSamePolicy(head, current)) return current
    const previous = current
    current = updated(tables, previous, head, rows)
    for (const listener of listeners) listener({ next: current, previous, rows })
    return current
  }
  const refresh = sharedRead(async () => (reading = readNext()))
  const inBackground = (): void => void refresh().catch(parts.onError)
  const unlisten = await db.listen('purser_revision', inBackground)
  const timer = setInterval(inBackground, refreshMs)
  timer.unref()

  return {
    current: () => current,
    refresh,
    age: () => parts.now() - confirmedAt,
    onChange: (listener) => void listeners.push(listener),
    beforeKeys: (prepare) => void preparations.push(prepare),
    forgetEnded(before) {
      tables.blocks.forget(before.blocks)
      const live = [...current.apiTokens].filter(([, { expiresAt }]) => expiresAt >= before.apiTokens)
      if (live.length < current.apiTokens.size) current = { ...current, apiTokens: new Map(live) }
    },
    async stop() {
      clearInterval(timer)
      await unlisten()
      await reading?.catch(() => undefined)
    },
  }
}

/** The tables that are updated in place. */
const createTables = () => ({ workloads: new WorkloadTable(), pins: new PinTable(), blocks: new BlockTable() })
type Tables = ReturnType<typeof createTables>

type FirstRead = Pick<Parts, 'crlShardAbove' | 'onProgress'>

async function firstSnapshot(knex: Knex, tables: Tables, { crlShardAbove, onProgress }: FirstRead): Promise<Snapshot> {
  const small = {
    attestors: new Map<string, AttestorRow>(),
    apiTokens: new Map<string, ApiTokenRow>(),
    operators: new Map<string, OperatorRow>(),
    keys: new Map<string, KeyRow>(),
    databases: new Map<string, DatabaseRow>(),
  }
  const head = await loadTables(knex, {
    onRows(rows) {
      updateInPlace(tables, rows)
      setRows(small.attestors, rows.attestors)
      setRows(small.apiTokens, rows.apiTokens)
      setRows(small.operators, rows.operators)
      setRows(small.keys, rows.keys)
      setRows(small.databases, rows.databases)
    },
    onRevokedCount: (count) => tables.blocks.countRevoked(count),
    ...(crlShardAbove !== undefined && { crlShardAbove }),
    ...(onProgress && { onProgress }),
  })
  return { ...policyOf(head), ...small, ...tables }
}

/** What a snapshot has of the head row. */
const policyOf = ({ instanceId, trustDomain, issuer, epoch, size, revision, issuing }: Head) => ({
  instanceId,
  trustDomain,
  issuer,
  epoch,
  size,
  revision,
  issuing,
})

const isSamePolicy = (head: Head, { revision, epoch, issuing }: Snapshot): boolean =>
  head.revision === revision && head.epoch === epoch && head.issuing === issuing

function updated(tables: Tables, previous: Snapshot, head: Head, rows: ChangedRows): Snapshot {
  updateInPlace(tables, rows)
  return {
    ...previous,
    ...policyOf(head),
    attestors: withRows(previous.attestors, rows.attestors),
    apiTokens: withRows(previous.apiTokens, rows.apiTokens),
    operators: withRows(previous.operators, rows.operators),
    keys: withRows(previous.keys, rows.keys),
    databases: withRows(previous.databases, rows.databases),
  }
}

function updateInPlace({ workloads, pins, blocks }: Tables, rows: ChangedRows): void {
  for (const [id, row] of rows.workloads ?? []) {
    if (row) workloads.set(row)
    else workloads.delete(id)
  }
  for (const [, pin] of rows.pins ?? []) if (pin) pins.set(pin)
  for (const [, block] of rows.blocks ?? []) if (block) blocks.set(block)
}

/** The same map where nothing changed: derived values are cached by its identity. */
function withRows<T>(old: ReadonlyMap<string, T>, rows: ChangedRow<T>[] = []): ReadonlyMap<string, T> {
  if (rows.length === 0) return old
  const next = new Map(old)
  setRows(next, rows)
  return next
}

function setRows<T>(map: Map<string, T>, rows: ChangedRow<T>[] = []): void {
  for (const [id, row] of rows) {
    if (row === undefined) map.delete(id)
    else map.set(id, row)
  }
}
