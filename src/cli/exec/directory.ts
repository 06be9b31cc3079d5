/** The private directory for secret files while the command runs, in memory if possible. */
import { constants } from 'node:fs'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CliError } from '../io.ts'
import { type File, createFileStore, openTo } from '../files.ts'
import { judgePrivateFolder, examineFolder } from '../secret-folder.ts'

export type Directory = Awaited<ReturnType<typeof openDirectory>>

/** A tmpfs on Linux. */
const inMemory = '/dev/shm'

async function parentFolder(): Promise<string> {
  try {
    await access(inMemory, constants.W_OK | constants.X_OK)
    return inMemory
  } catch {
    return tmpdir()
  }
}

/** @param directory a directory of the caller, which stays (default: a new one with mode 0700) */
export async function openDirectory(directory: string | undefined, warn: (words: string) => void) {
  const path = directory ?? (await mkdtemp(join(await parentFolder(), 'purser-exec-')))
  if (directory !== undefined) await checkPrivate(directory, warn)
  const store = createFileStore(path)
  return {
    path,
    write: async (files: readonly File[]) => void (await store.write(files)),
    /** Removes the files, and the directory if it was created here. */
    async remove() {
      for (const file of store.written()) await rm(file.path, { force: true })
      if (directory === undefined) await rm(path, { recursive: true, force: true })
    },
  }
}

/** If others can write to a directory, it may hold their links. */
async function checkPrivate(path: string, warn: (words: string) => void): Promise<void> {
  const { fault, warning } = await examineFolder(path, judgePrivateFolder)
  if (warning !== undefined) warn(openTo(path, warning))
  if (fault !== undefined)
    throw new CliError(
      `${path} is not safe for secrets: ${fault}. Own it and run chmod go-w, or name a new folder in it`,
    )
}
