/**
 * Embedded databases that are copied from a template: a new one takes four seconds of CPU time, a copy a tenth of
 * one.
 */
import { openEmbedded } from '../../src/store/embedded.ts'
import { migrate } from '../../src/store/migrate.ts'
import { copyDirectory, sharedDirectory } from './shared-directory.ts'

async function fill(directory: string): Promise<void> {
  const db = await openEmbedded({ dataDir: directory })
  await migrate(db)
  await db.close()
}

/** Puts a migrated, empty database where `openEmbedded({ dataDir })` opens it. */
export async function copyEmbedded(dataDir: string): Promise<void> {
  await copyDirectory(await sharedDirectory('embedded', fill), dataDir)
}
