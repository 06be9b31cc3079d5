import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openEmbedded } from '../../src/store/embedded.ts'
import { StoreLocked, takeLock } from '../../src/store/lock.ts'
import { copyEmbedded } from '../support/embedded-template.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'purser-store-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

describe('the embedded store on disk', () => {
  it('keeps its rows, and leaves no lock behind', async () => {
    const dataDir = join(directory, 'made', 'for it')
    const first = await openEmbedded({ dataDir })
    await first.knex.raw('create table item (id int primary key)')
    await first.knex('item').insert({ id: 1 })
    expect(await mode(dataDir)).toBe(0o700)
    expect(await mode(join(dataDir, 'lock'))).toBe(0o600)
    await first.close()
    expect(await readdir(dataDir)).toEqual(['database'])
    const second = await openEmbedded({ dataDir })
    expect(await second.knex('item').select()).toEqual([{ id: 1 }])
    await second.close()
    await expect(second.knex('item').select()).rejects.toThrow()
  })

  it('refuses a second process, naming the first, until it is gone; then finds all acknowledged rows', async () => {
    await copyEmbedded(directory)
    const holder = spawn(
      process.execPath,
      ['--import', 'tsx', fileURLToPath(new URL('./holder.ts', import.meta.url)), directory],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    const lines = createInterface({ input: holder.stdout })[Symbol.asyncIterator]()
    expect((await lines.next()).value).toBe('open')
    const refused = await openEmbedded({ dataDir: directory }).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(StoreLocked)
    expect(refused).toMatchObject({ pid: holder.pid, message: expect.stringContaining(`process ${holder.pid}`) })
    for (const id of [1, 2, 3]) {
      holder.stdin.write(`${id}\n`)
      await lines.next()
    }
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const next = await openEmbedded({ dataDir: directory })
    expect(await next.knex('item').orderBy('id').pluck('id')).toEqual([1, 2, 3])
    await expect(openEmbedded({ dataDir: directory })).rejects.toThrow(StoreLocked)
    await next.close()
  })

  it('releases the lock when the database does not open', async () => {
    await writeFile(join(directory, 'database'), 'in the way')
    await expect(openEmbedded({ dataDir: directory })).rejects.toThrow()
    expect(await readdir(directory)).toEqual(['database'])
  })
})

describe('the lock file', () => {
  const rhythm = { beat: 20, deadAfter: 200 }
  const path = (): string => join(directory, 'lock')

  async function holderWith(change: object): Promise<void> {
    const lock = await takeLock(path(), rhythm)
    const holder = JSON.parse(await readFile(path(), 'utf8'))
    await lock.release()
    await writeFile(path(), JSON.stringify({ ...holder, token: 'theirs', ...change }))
  }

  /** The id of a process that has ended. */
  let deadPid = 0
  beforeAll(async () => {
    const child = spawn(process.execPath, ['-e', ''])
    await once(child, 'exit')
    deadPid = child.pid ?? 0
  })

  // Without the gate, two processes took the lock of a dead holder in two of a hundred runs.
  it.each(Array.from({ length: 60 }, (_, n) => n))(
    'goes to one of many processes that find a dead holder at once: %i',
    async () => {
      await holderWith({ pid: deadPid })
      const attempts = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(path(), rhythm)))
      const [winner, ...others] = attempts.filter((result) => result.status === 'fulfilled')
      expect(others).toEqual([])
      for (const result of attempts) if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(StoreLocked)
      await winner?.value.release()
      expect(await readdir(directory)).toEqual([])
    },
  )

  it.runIf(process.platform === 'linux')('is taken over when the id now belongs to a later process', async () => {
    await holderWith({ started: '1' })
    await (await takeLock(path(), rhythm)).release()
  })

  it('of another container is respected while it is touched, and taken over when it is no longer', async () => {
    await holderWith({ world: 'another boot', pid: deadPid })
    const file = path()
    const touch = setInterval(() => void utimes(file, new Date(), new Date()), 20)
    const refused = await takeLock(file, rhythm).catch((error: unknown) => error)
    clearInterval(touch)
    expect(refused).toBeInstanceOf(StoreLocked)
    await setTimeout(50)
    await (await takeLock(path(), rhythm)).release()
  })

  it('is touched while held', async () => {
    const lock = await takeLock(path(), rhythm)
    const before = (await stat(path())).mtimeMs
    while ((await stat(path())).mtimeMs === before) await setTimeout(10)
    await lock.release()
  })

  it('that a power loss left empty is taken over', async () => {
    await writeFile(path(), '')
    await (await takeLock(path(), rhythm)).release()
  })

  it('of another process is not released', async () => {
    const lock = await takeLock(path(), rhythm)
    await writeFile(path(), JSON.stringify({ token: 'theirs', pid: process.pid }))
    await lock.release()
    expect(await readdir(directory)).toEqual(['lock'])
  })
})
