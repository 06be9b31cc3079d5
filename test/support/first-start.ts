/** First starts that servers of tests go on from: keys and a bootstrap take half a second, a copy of them a tenth. */
import { randomBytes } from 'node:crypto'
import { cp, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'
import { testDatabase } from './database.ts'
import type { StoreName } from './stores.ts'
import { cloneDatabase } from './template.ts'

/** What a server needs to go on from an earlier start. `drop` removes its database. */
export type Earlier = { url?: string; rootKey: string; admin: string; drop?: () => Promise<void> }

type Start = (again: {
  url?: string
  rootKey: string
  dataDir: string
  admin: string
}) => Promise<{ admin: string; stop: () => Promise<void> }>

type FirstStart = { copy(dataDir: string): Promise<Earlier> }

async function makeFirstStart(store: StoreName, start: Start): Promise<FirstStart> {
  const dataDir = await mkdtemp(join(inject('runDirectory'), 'first-start-'))
  const database = store === 'postgres' ? await testDatabase() : undefined
  const rootKey = randomBytes(32).toString('base64')
  const { admin, stop } = await start({ rootKey, dataDir, admin: '', ...(database && { url: database.url }) })
  await stop()
  return {
    async copy(to) {
      await cp(join(dataDir, 'bootstrap-token'), join(to, 'bootstrap-token'))
      if (database) {
        const { url, drop } = await cloneDatabase(inject('postgres').url, new URL(database.url).pathname.slice(1))
        return { rootKey, admin, url, drop }
      }
      await cp(join(dataDir, 'db'), join(to, 'db'), { recursive: true })
      return { rootKey, admin }
    },
  }
}

/** The first starts of this process, which its test files share. */
const firstStarts: Record<StoreName, FirstStart[]> = { embedded: [], postgres: [] }
const inUse = new Set<string>()
const maxFirstStarts = 3

/**
 * A copy of a first start that no other running server goes on from, so that two servers never share keys. Undefined
 * where too many run.
 */
export async function copyFirstStart(store: StoreName, dataDir: string, start: Start): Promise<Earlier | undefined> {
  const n = Array.from({ length: maxFirstStarts }, (_, index) => index).find((index) => !inUse.has(`${store} ${index}`))
  if (n === undefined) return undefined
  const name = `${store} ${n}`
  inUse.add(name)
  const first = (firstStarts[store][n] ??= await makeFirstStart(store, start))
  const { drop, ...earlier } = await first.copy(dataDir)
  return {
    ...earlier,
    async drop() {
      inUse.delete(name)
      await drop?.()
    },
  }
}
