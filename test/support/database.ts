/** The databases of tests: migrated, empty, each test file's own. */
import { randomUUID } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, inject } from 'vitest'
import type { Database } from '../../src/store/database.ts'
import { type EmbeddedDatabase, openEmbedded } from '../../src/store/embedded.ts'
import { migrate } from '../../src/store/migrate.ts'
import { type PostgresDatabase, type PostgresOptions, openPostgres } from '../../src/store/postgres.ts'
import { cloneDatabase } from './template.ts'

/** A migrated database on the run's Postgres. `drop` ends whatever is connected to it. */
export async function testDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  const { url, template } = inject('postgres')
  return cloneDatabase(url, template)
}

/** The same, opened; `close` drops it. */
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

/** The dump that embedded databases start from, in a fifth of the time. The first test that needs it creates it. */
async function dump(): Promise<Blob> {
  const path = join(inject('runDirectory'), 'embedded.tar')
  const made = await readFile(path).catch(() => undefined)
  if (made) return new Blob([new Uint8Array(made)])
  const db = await openEmbedded({ dataDir: undefined })
  await migrate(db)
  const blob = await db.pglite.dumpDataDir('none')
  await db.close()
  // Two may make it at once; neither sees the other's half.
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, new Uint8Array(await blob.arrayBuffer()))
  await rename(draft, path)
  return blob
}

/** A migrated embedded database in memory. */
async function testEmbedded(): Promise<EmbeddedDatabase> {
  return openEmbedded({ dataDir: undefined, load: await dump() })
}

/**
 * One suite, run on each store. `open` answers a migrated, empty database, closed after the test, or after the suite
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
