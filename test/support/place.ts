/** Databases that a test saves and restores, as from a backup. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { testDatabase } from './database.ts'
import { copyDirectory } from './shared-directory.ts'
import { type TestPurser, audience, startPurser, trustDomain } from './purser.ts'
import type { StoreName } from './stores.ts'
import { cloneDatabase } from './template.ts'

/** A place for a Purser whose database can be saved and restored while no server runs. */
export async function createPlace(store: StoreName) {
  const dataDir = await mkdtemp(join(tmpdir(), 'purser-put-back-'))
  const rootKey = randomBytes(32).toString('base64')
  const databases = store === 'postgres' ? [await testDatabase()] : []
  let url = databases[0]?.url
  return {
    dataDir,
    /** The environment of a command on the same host. */
    env: (): Record<string, string> => ({
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_PUBLIC_URL: audience,
      PURSER_DATA_DIR: dataDir,
      PURSER_ROOT_KEY: rootKey,
      ...(url !== undefined && { DATABASE_URL: url }),
    }),
    start: (admin = '', env: Record<string, string> = {}, tls = false): Promise<TestPurser> =>
      startPurser({ env, tls, existing: { rootKey, dataDir, admin, ...(url !== undefined && { url }) } }),
    /** Returns a function that restores the database. */
    async keep(): Promise<() => Promise<void>> {
      if (url === undefined) {
        const copy = join(dataDir, 'backup')
        await copyDirectory(join(dataDir, 'db'), copy)
        return async () => {
          await rm(join(dataDir, 'db'), { recursive: true })
          await copyDirectory(copy, join(dataDir, 'db'))
        }
      }
      const copy = await cloneDatabase(inject('postgres').url, new URL(url).pathname.slice(1))
      databases.push(copy)
      return async () => void (url = copy.url)
    },
    async remove() {
      for (const database of databases) await database.drop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
