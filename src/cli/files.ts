/** Files with secrets in them: 0600, and whole or not there at all. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CliError, exitCodes } from './io.ts'
import { judgeFolder, lookAtFolder } from './secret-folder.ts'

export type File = { name: string; text: string; what: string; until?: Date }
export type Written = { path: string; name: string; what: string; until?: Date }

/**
 * Writes every file beside its place and then moves each there, so that no reader meets half of one, a link at the place
 * is replaced rather than followed, and the mode is ours from the first byte.
 * @throws CliError naming the directory
 */
export async function writeFiles(dir: string, files: readonly File[]): Promise<Written[]> {
  const suffix = `.new-${randomBytes(8).toString('hex')}`
  const placed = files.map(({ text, ...rest }) => ({ path: join(dir, rest.name), text, rest }))
  try {
    await mkdir(dir, { mode: 0o700 }).catch(unlessThere)
    await checkFolder(dir)
    for (const { path, text } of placed) await writeNew(path + suffix, text)
    for (const { path } of placed) await rename(path + suffix, path)
  } catch (error) {
    if (error instanceof CliError) throw error
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new CliError(`can't write to ${dir} (${code})`, exitCodes.failed)
  } finally {
    await Promise.allSettled(placed.map(({ path }) => rm(path + suffix, { force: true })))
  }
  return placed.map(({ path, rest }) => ({ path, ...rest }))
}

/**
 * A folder that is missing passes: it is made with mode 0700.
 * @throws CliError where others could put files of theirs in the place of ours
 */
export async function checkFolder(dir: string, warn: (words: string) => void = () => undefined): Promise<void> {
  const { fault, warning } = await lookAtFolder(dir, judgeFolder)
  if (warning !== undefined) warn(openTo(dir, warning))
  if (fault === undefined) return
  const remedy = 'name a folder in it that is not there yet, which is made with mode 0700'
  throw new CliError(
    `${dir} is no place for secrets: ${fault}. Own it and chmod go-w it, or ${remedy}`,
    exitCodes.usage,
  )
}

/** What a folder is accepted with. */
export const openTo = (dir: string, warning: string): string =>
  `warning: ${dir}: ${warning} and replace the files. Name a folder in it that is not there yet, which is made with mode 0700`

/** Writes again only what is not as it was written before. */
export type FileStore = {
  /** @throws CliError naming the directory; what is there stays as it was as far as it was not replaced */
  write(files: readonly File[]): Promise<Written[]>
  /** The next write writes everything. */
  forget(): void
  /** What lies there, as far as it was written from here. */
  written(): Written[]
}

export function createFileStore(dir: string): FileStore {
  const known = new Map<string, File>()
  return {
    async write(files) {
      const changed = files.filter(({ name, text }) => known.get(name)?.text !== text)
      if (changed.length === 0) return []
      for (const { name } of changed) known.delete(name)
      const written = await writeFiles(dir, changed)
      for (const file of changed) known.set(file.name, file)
      return written
    },
    forget: () => known.clear(),
    written: () => [...known.values()].map(({ text: _, ...rest }) => ({ path: join(dir, rest.name), ...rest })),
  }
}

function unlessThere(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
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
