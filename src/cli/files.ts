/** Writes files with secrets: mode 0600, complete or not at all. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CliError, codeOf, exitCodes, usageError } from './io.ts'
import { judgeFolder, examineFolder } from './secret-folder.ts'

export type File = { name: string; text: string; what: string; until?: Date }
export type Written = { path: string; name: string; what: string; until?: Date }

/**
 * Writes every file under a temporary name and then renames it: no reader sees a partial file, a symbolic link is
 * replaced and not followed, and the mode is right from the first byte.
 * @throws CliError that names the directory
 */
export async function writeFiles(dir: string, files: readonly File[]): Promise<Written[]> {
  const suffix = `.new-${randomBytes(8).toString('hex')}`
  const placed = files.map(({ text, ...rest }) => ({ path: join(dir, rest.name), text, rest }))
  try {
    await mkdir(dir, { mode: 0o700 }).catch(ignoreExisting)
    await checkFolder(dir)
    for (const { path, text } of placed) await writeNew(path + suffix, text)
    for (const { path } of placed) await rename(path + suffix, path)
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError(`can't write to ${dir} (${codeOf(error) ?? 'unknown'})`, exitCodes.failed)
  } finally {
    await Promise.allSettled(placed.map(({ path }) => rm(path + suffix, { force: true })))
  }
  return placed.map(({ path, rest }) => ({ path, ...rest }))
}

/**
 * A missing folder passes: it is created with mode 0700.
 * @throws CliError when others could replace the files
 */
export async function checkFolder(dir: string, warn: (words: string) => void = () => undefined): Promise<void> {
  const { fault, warning } = await examineFolder(dir, judgeFolder)
  if (warning !== undefined) warn(openTo(dir, warning))
  if (fault === undefined) return
  throw usageError(
    `${dir} is not safe for secrets: ${fault}. Own it and run chmod go-w, or name a new folder in it, which gets mode 0700`,
  )
}

/** The warning about a folder that is accepted although others can write to it. */
export const openTo = (dir: string, warning: string): string =>
  `warning: ${dir}: ${warning} and replace the files. Name a new folder in it, which gets mode 0700`

export type FileStore = ReturnType<typeof createFileStore>

/** Writes only files that changed since the last write. */
export function createFileStore(dir: string) {
  const current = new Map<string, File>()
  return {
    /** @throws CliError that names the directory; files that were not yet replaced stay as they were */
    async write(files: readonly File[]): Promise<Written[]> {
      const changed = files.filter(({ name, text }) => current.get(name)?.text !== text)
      if (changed.length === 0) return []
      for (const { name } of changed) current.delete(name)
      const result = await writeFiles(dir, changed)
      for (const file of changed) current.set(file.name, file)
      return result
    },
    /** The next write writes everything. */
    forget: () => current.clear(),
    /** The files that this store wrote. */
    written: (): Written[] =>
      [...current.values()].map(({ text: _, ...rest }) => ({ path: join(dir, rest.name), ...rest })),
  }
}

function ignoreExisting(error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error
}

async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}
