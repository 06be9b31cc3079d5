/**
 * The newest signed head in a file of the data directory, or any other place outside of the database: so that a database
 * that was put back is noticed by whoever starts on it.
 */
import { randomUUID } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Outbound } from '../outbound/client.ts'
import { OutboundError } from '../outbound/errors.ts'

/** A place where one head is kept. */
export type HeadPlace = {
  /** For people. */
  where: string
  /** The note, empty where none was kept yet. Rejects when nobody can tell. */
  read(): Promise<{ note: string }>
  write(note: string): Promise<void>
}

/** The name in the data directory. */
const headFileName = 'log-head'

/** Replaced in one step, and on the disk before `write` resolves. */
export function headFile(dataDir: string): HeadPlace {
  const path = join(dataDir, headFileName)
  return {
    where: path,
    async read() {
      try {
        return { note: await readFile(path, 'utf8') }
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { note: '' }
        throw error
      }
    },
    async write(note) {
      const draft = `${path}.${randomUUID()}`
      await synced(draft, 'w', (file) => file.writeFile(note))
      await rename(draft, path)
      // The rename itself lasts once the directory is written (fsync(2), NOTES), where a system can do that.
      await synced(dirname(path), 'r', async () => undefined).catch(() => undefined)
    },
  }
}

async function synced(
  path: string,
  flags: 'w' | 'r',
  work: (file: Awaited<ReturnType<typeof open>>) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags, 0o600)
  try {
    await work(file)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** An object that is read by GET and replaced by PUT; 404 means that there is none yet. */
export function headObject(url: string, outbound: Pick<Outbound, 'fetchBytes'>): HeadPlace {
  return {
    where: 'PURSER_LOG_HEAD_URL',
    async read() {
      try {
        const { body } = await outbound.fetchBytes(url, { configured: true, maxBytes: 65_536 })
        return { note: body.toString('utf8') }
      } catch (error) {
        if (error instanceof OutboundError && error.status === 404) return { note: '' }
        throw error
      }
    },
    async write(note) {
      const headers = { 'content-type': 'text/plain; charset=utf-8' }
      await outbound.fetchBytes(url, { configured: true, method: 'PUT', body: note, headers, maxBytes: 65_536 })
    },
  }
}
