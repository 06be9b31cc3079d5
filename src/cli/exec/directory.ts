/** Where files with secrets lie while the command runs: in memory where the machine has a place for that, and nobody's else. */
import { constants } from 'node:fs'
import { access, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { folderFault } from '@purser/sdk/checks'
import { CliError } from '../io.ts'
import { type File, createFileStore } from '../files.ts'

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
export async function openDirectory(given: string | undefined): Promise<Directory> {
  const path = given ?? (await mkdtemp(join(await placeFor(), 'purser-exec-')))
  if (given !== undefined) await checkPrivate(given)
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
async function checkPrivate(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (!found) return
  // The sticky bit does not keep links of others out.
  const fault = folderFault({ uid: found.uid, mode: found.mode & ~0o1000 })
  if (fault !== undefined)
    throw new CliError(
      `${path} may be written by others, so no secret is put there: ${fault}. chown it and chmod go-w it`,
    )
}
