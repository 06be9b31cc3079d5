import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A state directory with the log's newest head of the workload's own, so that growth is demanded; key, certificate and
 * files of the workload stay untouched: its serial number is its owner's to spend. It is gone when `work` is done.
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
