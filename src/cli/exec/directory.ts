/** Where files with secrets lie while the command runs: in memory where the machine has a place for that, and nobody's else. */
import { constants } from 'node:fs'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CliError } from '../io.ts'
import { type File, createFileStore, openTo } from '../files.ts'
import { judgePrivateFolder, lookAtFolder } from '../secret-folder.ts'

export type Directory = {
  path: string
  write(files: readonly File[]): Promise<void>
  /** What was written here, and the directory where it was made here. */
  remove(): Promise<void>
}

/** A tmpfs on Linux. */
const inMemory = '/dev/shm'

async function placeFor(): Promise<string> {
  try {
    await access(inMemory, constants.W_OK | constants.X_OK)
    return inMemory
  } catch {
    return tmpdir()
  }
}

/** @param given a directory of the caller's choice, which stays; one of our own, mode 0700, unless given */
export async function openDirectory(given: string | undefined, warn: (words: string) => void): Promise<Directory> {
  const path = given ?? (await mkdtemp(join(await placeFor(), 'purser-exec-')))
  if (given !== undefined) await checkPrivate(given, warn)
  const store = createFileStore(path)
  return {
    path,
    write: async (files) => void (await store.write(files)),
    async remove() {
      for (const file of store.written()) await rm(file.path, { force: true })
      if (given === undefined) await rm(path, { recursive: true, force: true })
    },
  }
}

/** One that is there and that others may write to could have links of theirs in it. */
async function checkPrivate(path: string, warn: (words: string) => void): Promise<void> {
  const { fault, warning } = await lookAtFolder(path, judgePrivateFolder)
  if (warning !== undefined) warn(openTo(path, warning))
  if (fault !== undefined)
    throw new CliError(
      `${path} may be written by others, so no secret is put there: ${fault}. chown it and chmod go-w it, or name a folder ` +
        'in it that is not there yet',
    )
}
