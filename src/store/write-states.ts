/** What a writer must know of the paths that it writes. */
import { type Columns, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import { queryPrepared } from './prepared.ts'
import type { SecretRow } from './rows.ts'
import { hashOfPath } from './secrets.ts'
import { sharedRead } from './shared-read.ts'

export type WriteState = {
  /** Absent where the path has no secret. */
  secret?: SecretRow
  /**
   * The highest version that any secret of this path had, staged ones included: a path never reuses a version number, and
   * a secret goes on where a removed one of its path ended.
   */
  lastVersion: number
  isRotating: boolean
  /** Versions that have a value, without staged ones, newest first. */
  versions: number[]
}

/** Of a path that never had a secret. */
export const unusedPath: WriteState = { lastVersion: 0, isRotating: false, versions: [] }

type Row = Columns<SecretRow> & { n: string; last: number | null; rotating: boolean; versions: number[] }

/** In the order of the paths (migrations/write-states.ts). */
export async function readWriteStates(knex: Knex, paths: readonly string[]): Promise<WriteState[]> {
  // Another result needs another function: connections keep the prepared statement.
  const rows = await queryPrepared<Row>(knex, {
    name: 'write_states',
    sql: 'select * from secret_write_states(?) order by n',
    bindings: [paths.map(hashOfPath)],
  })
  return rows.map(({ n: _, last, rotating, versions, ...secret }) => {
    // The columns of a left join without a match are null.
    const isLive = (secret.id as string | null) !== null
    return {
      ...(isLive && { secret: membersOf<SecretRow>(secret) }),
      lastVersion: last ?? 0,
      isRotating: rotating,
      versions,
    }
  })
}

export type ReadWriteState = (path: string) => Promise<WriteState>

/** Writers that come while a query runs share the next one. */
export function createReadWriteState(knex: Knex): ReadWriteState {
  let waiting = new Set<string>()
  const readWaiting = sharedRead(async () => {
    const paths = [...waiting]
    waiting = new Set()
    const states = await readWriteStates(knex, paths)
    return new Map(states.map((state, n) => [paths[n], state]))
  })

  return async (path) => {
    for (;;) {
      waiting.add(path)
      const state = (await readWaiting()).get(path)
      if (state) return state
      // A query that began for another writer had the path, so the one that this writer waited for did not.
    }
  }
}
