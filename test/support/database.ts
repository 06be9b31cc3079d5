/** The databases of tests: migrated and empty, one for each test file. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, inject } from 'vitest'
import type { Database } from '../../src/store/database.ts'
import { type EmbeddedDatabase, openEmbedded } from '../../src/store/embedded.ts'
import { type PostgresDatabase, type PostgresOptions, openPostgres } from '../../src/store/postgres.ts'
import { copyEmbedded } from './embedded-template.ts'
import { cloneDatabase } from './template.ts'

/** A migrated database on the run's Postgres. `drop` ends its connections. */
export async function testDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  const { url, template } = inject('postgres')
  return cloneDatabase(url, template)
}

/** The same database, opened; `close` drops it. */
export async function testPostgres(
  options: Omit<PostgresOptions, 'url'> = {},
): Promise<PostgresDatabase & { url: string }> {
  const { url, drop } = await testDatabase()
  const db = openPostgres({ url, ...options })
  return {
    ...db,
    url,
    async close() {
      await db.close()
      await drop()
    },
  }
}

/** A migrated embedded database, in a directory of its own. */
async function testEmbedded(): Promise<EmbeddedDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'purser-embedded-'))
  await copyEmbedded(dataDir)
  const db = await openEmbedded({ dataDir })
  return {
    ...db,
    async close() {
      await db.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/**
 * One suite, run on each store. `open` returns a migrated, empty database, closed after the test, or after the suite
 * when it was opened before all tests.
 */
export function describeBothStores(name: string, suite: (open: () => Promise<Database>) => void): void {
  const stores = [
    ['postgres', testPostgres],
    ['embedded', testEmbedded],
  ] as const
  for (const [store, make] of stores) {
    describe(`${name} (${store})`, () => {
      const ofSuite: Database[] = []
      const ofTest: Database[] = []
      let opened = ofSuite
      const closeAll = async (list: Database[]): Promise<void> => {
        await Promise.all(list.splice(0).map((db) => db.close()))
      }
      beforeEach(() => {
        opened = ofTest
      })
      afterEach(() => closeAll(ofTest))
      afterAll(() => closeAll(ofSuite))
      suite(async () => {
        const db = await make()
        opened.push(db)
        return db
      })
    })
  }
}
