/** The log as its database has it, for tests that must see what was recorded. */
import type { Entry } from '../../src/audit/entry.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import type { TestPurser } from './purser.ts'

export type Recorded = Entry & { index: number }

/** Reads entries of a Purser that runs on Postgres. */
export function createEntries({ config }: Pick<TestPurser, 'config'>): {
  all: () => Promise<Recorded[]>
  of: (requestId: unknown) => Promise<Recorded[]>
  close: () => Promise<void>
} {
  if (config.database.kind !== 'postgres') throw new Error('the embedded store is its process’s alone')
  const db = openPostgres({ url: config.database.url.reveal() })
  const all = async (): Promise<Recorded[]> => {
    const rows: { idx: string; body: string }[] = await db.knex('log_entry').select('idx', 'body').orderBy('idx')
    return rows.map(({ idx, body }) => ({ ...JSON.parse(body), index: Number(idx) }))
  }
  return {
    all,
    of: async (requestId) => (await all()).filter((entry) => entry.requestId === requestId),
    close: () => db.close(),
  }
}
