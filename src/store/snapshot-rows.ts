/** Reads the rows of a snapshot: all of them in pages at the start, and later those that changed. */
import type { Knex } from 'knex'
import { inOneSnapshot, pagesOf } from './cursor.ts'
import { type Head, readHead } from './log.ts'
import { type RevokedCount, callerKinds } from './memory/blocks.ts'
import { type ChangedRow, type ChangedRows, type Table, tables } from './snapshot-tables.ts'

const tableNames = Object.values(tables).map((table) => table.name)

async function requireHead(knex: Knex): Promise<Head> {
  const head = await readHead(knex)
  if (!head) throw new Error('the database has not been initialized: the log has no head row')
  return head
}

/** One query for all tables: most changes affect one table only. */
async function changedTables(tx: Knex, since: number): Promise<Set<string>> {
  const queries = tableNames.map(
    (name) => `select '${name}' as name where exists (select 1 from ${name} where changed > ?)`,
  )
  const { rows } = await tx.raw<{ rows: { name: string }[] }>(
    queries.join(' union all '),
    queries.map(() => since),
  )
  return new Set(rows.map((row) => row.name))
}

/** The head, and what changed since a revision. A read that finds nothing new is one query. */
export async function readChangedRows(
  knex: Knex,
  since: Pick<Head, 'revision' | 'epoch'>,
): Promise<{ head: Head; rows: ChangedRows }> {
  const head = await requireHead(knex)
  if (head.revision === since.revision && head.epoch === since.epoch) return { head, rows: {} }
  return knex.transaction(async (tx) => {
    const latest = await requireHead(tx)
    const changed = await changedTables(tx, since.revision)
    async function read<R, T>({ name, read: convert }: Table<R, T>): Promise<ChangedRow<T>[] | undefined> {
      if (!changed.has(name)) return undefined
      const records: R[] = await tx(name).where('changed', '>', since.revision).orderBy('changed')
      return records.map((record) => convert(record))
    }
    const rows = {
      attestors: await read(tables.attestors),
      workloads: await read(tables.workloads),
      pins: await read(tables.pins),
      blocks: await read(tables.blocks),
      apiTokens: await read(tables.apiTokens),
      operators: await read(tables.operators),
      keys: await read(tables.keys),
      databases: await read(tables.databases),
    }
    return { head: latest, rows }
  }, inOneSnapshot)
}

type Receivers = {
  onRows: (rows: ChangedRows) => void
  onRevokedCount: (count: RevokedCount) => void
  /** Revoked certificates are counted if this is set. */
  crlShardAbove?: number
  /** The rows of a table so far. */
  onProgress?: (table: string, rows: number) => void
}

/** Reads every table through cursors, so that no more than a page of rows is in memory twice. */
export async function loadTables(knex: Knex, receivers: Receivers): Promise<Head> {
  const { onRows, onRevokedCount, crlShardAbove, onProgress } = receivers
  return knex.transaction(async (tx) => {
    const head = await requireHead(tx)
    async function load<R, T>(
      { name, read }: Table<R, T>,
      toRows: (rows: ChangedRow<T>[]) => ChangedRows,
      condition = '',
    ): Promise<void> {
      let count = 0
      for await (const records of pagesOf<R>(tx, `select * from ${name} ${condition}`)) {
        onRows(toRows(records.map((record) => read(record))))
        count += records.length
        onProgress?.(name, count)
      }
    }
    await load(tables.attestors, (attestors) => ({ attestors }), living)
    await load(tables.workloads, (workloads) => ({ workloads }), living)
    await load(tables.pins, (pins) => ({ pins }))
    await load(tables.blocks, (blocks) => ({ blocks }), `where kind in (${quoted(callerKinds)})`)
    await load(tables.apiTokens, (apiTokens) => ({ apiTokens }))
    await load(tables.operators, (operators) => ({ operators }), living)
    await load(tables.keys, (keys) => ({ keys }))
    await load(tables.databases, (databases) => ({ databases }), living)
    if (crlShardAbove !== undefined) {
      const counts = await tx.raw<{ rows: RevokedCount[] }>(revokedCounts, [crlShardAbove + 1, crlShardAbove + 1])
      for (const count of counts.rows) onRevokedCount(count)
    }
    return head
  }, inOneSnapshot)
}

const living = 'where deleted_at is null'

const quoted = (kinds: readonly string[]): string => kinds.map((kind) => `'${kind}'`).join(', ')

/**
 * Only those that are forgotten last. While one of the others is left, all of these are, so whether they are more than a
 * number is exact at each time, though a million rows are not read.
 */
const revokedCounts = `
  select ceil(extract(epoch from until) / 3600)::int as hour, count(*)::int as count
    from (select b.until
            from signing_key k,
                 lateral (select until from block where kind = 'serialNumber' and key_id = k.id order by until desc limit ?) b
           order by b.until desc limit ?) last
   group by 1`
