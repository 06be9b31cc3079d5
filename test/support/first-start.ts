/** First starts that servers of tests continue: keys and a bootstrap take half a second, a copy of them a tenth. */
import { randomBytes } from 'node:crypto'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'
import { testDatabase } from './database.ts'
import { copyDirectory, sharedDirectory } from './shared-directory.ts'
import type { StoreName } from './stores.ts'
import { cloneDatabase } from './template.ts'

/** What a server needs to continue an earlier start. `drop` removes its database. */
export type Earlier = { url?: string; rootKey: string; admin: string; drop?: () => Promise<void> }

type Start = (existing: {
  url?: string
  rootKey: string
  dataDir: string
  admin: string
}) => Promise<{ admin: string; stop: () => Promise<void> }>

type FirstStart = { rootKey: string; admin: string; database?: string }

async function makeFirstStart(store: StoreName, dataDir: string, start: Start): Promise<FirstStart> {
  const database = store === 'postgres' ? await testDatabase() : undefined
  const rootKey = randomBytes(32).toString('base64')
  const { admin, stop } = await start({ rootKey, dataDir, admin: '', ...(database && { url: database.url }) })
  await stop()
  return { rootKey, admin, ...(database && { database: new URL(database.url).pathname.slice(1) }) }
}

/** The number of first starts that this process has copied and whose servers run. */
const inUse = new Set<string>()
const maxFirstStarts = 3

/**
 * A copy of a first start that no other running server of this process continues, so that two servers never share
 * keys. Undefined when too many run. All workers of a run share the first starts.
 */
export async function copyFirstStart(store: StoreName, dataDir: string, start: Start): Promise<Earlier | undefined> {
  const numbers = Array.from({ length: maxFirstStarts }, (_, n) => n)
  const name = numbers.map((n) => `first-start-${store}-${n}`).find((name) => !inUse.has(name))
  if (name === undefined) return undefined
  inUse.add(name)
  const directory = await sharedDirectory(name, async (draft) => {
    const first = await makeFirstStart(store, draft, start)
    await writeFile(join(draft, 'first-start.json'), JSON.stringify(first))
  })
  const first: FirstStart = JSON.parse(await readFile(join(directory, 'first-start.json'), 'utf8'))
  const { rootKey, admin } = first
  await copyFile(join(directory, 'bootstrap-token'), join(dataDir, 'bootstrap-token'))
  const database =
    first.database === undefined ? undefined : await cloneDatabase(inject('postgres').url, first.database)
  if (!database) await copyDirectory(join(directory, 'db'), join(dataDir, 'db'))
  return {
    rootKey,
    admin,
    ...(database && { url: database.url }),
    async drop() {
      inUse.delete(name)
      await database?.drop()
    },
  }
}
