import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Gives `work` a temporary state directory with a copy of the newest log head, so that the log is still checked for
 * consistency. The workload's key and certificate stay untouched: each certificate can be renewed once.
 */
export async function withBorrowedState<T>(dir: string | undefined, work: (dir: string) => Promise<T>): Promise<T> {
  const copy = await mkdtemp(join(tmpdir(), 'purser-state-'))
  try {
    const names = dir ? await readdir(dir).catch(() => []) : []
    for (const name of names.filter((name) => /^log-.*\.json$/.test(name))) {
      await copyFile(join(dir ?? '', name), join(copy, name))
    }
    return await work(copy)
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}
