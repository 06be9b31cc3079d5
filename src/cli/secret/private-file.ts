/**
 * A file for an editor, in a private folder, in memory if possible. Files that the editor leaves beside it are removed too.
 * Memory comes first, since overwriting does not reliably erase data on a disk (copy on write, wear levelling).
 */
import {
  type Stats,
  lstatSync,
  mkdtempSync,
  openSync,
  closeSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
  fsyncSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Io } from '../io.ts'

export type PrivateFile = { path: string; inMemory: boolean; wipe: () => void }

/** statfs(2), TMPFS_MAGIC and RAMFS_MAGIC. */
const memoryTypes = new Set([0x01021994, 0x858458f6])

function isMemory(folder: string): boolean {
  try {
    return memoryTypes.has(statfsSync(folder).type)
  } catch {
    return false
  }
}

/** Synchronous, so that no signal arrives before it can be wiped. */
export function createPrivateFile(env: Io['env'], text: string): PrivateFile {
  const places = [env.XDG_RUNTIME_DIR, '/dev/shm'].filter((folder) => folder !== undefined && isMemory(folder))
  const parent = places[0] ?? tmpdir()
  const folder = mkdtempSync(join(parent, 'purser-edit-'))
  const path = join(folder, 'secret.json')
  const wipe = (): void => {
    for (const name of namesIn(folder)) overwrite(join(folder, name))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    wipe()
    throw error
  }
  return { path, inMemory: places.length > 0, wipe }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function overwrite(path: string): void {
  try {
    const stats: Stats = lstatSync(path)
    // The target of a link must not be overwritten.
    if (!stats.isFile()) return
    const file = openSync(path, 'r+')
    try {
      writeSync(file, Buffer.alloc(stats.size))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  } catch {
    // The folder is removed in any case.
  }
}
