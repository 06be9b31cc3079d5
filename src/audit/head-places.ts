/**
 * The newest signed head in a file of the data directory, or any other place outside of the database: so that a database
 * that was put back is noticed by whoever starts on it.
 */
import { randomUUID } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Outbound } from '../outbound/client.ts'
import { OutboundError } from '../outbound/errors.ts'

/** The note, empty where none was kept yet, and the place's own name for that state, where it has such names. */
export type StoredHead = { note: string; tag?: string }

/** A place where one head is kept. */
export type HeadPlace = {
  /** For people. */
  where: string
  /** Rejects when nobody can tell. */
  read(): Promise<StoredHead>
  /** Answers false where somebody else wrote since `found` was read: then nothing was replaced. */
  write(note: string, found: StoredHead): Promise<boolean>
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
      return true
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

/**
 * An object that is read by GET and replaced by PUT; 404 means that there is none yet. Every replica writes it, so a PUT
 * names what it replaces (RFC 9110 section 13.1), where the store has strong entity tags and takes such conditions.
 */
export function headObject(url: string, outbound: Pick<Outbound, 'fetchBytes'>): HeadPlace {
  const options = { configured: true, maxBytes: 65_536 }
  let takesConditions = true
  const statusOf = (error: unknown): number | undefined => (error instanceof OutboundError ? error.status : undefined)

  async function write(note: string, found: StoredHead): Promise<boolean> {
    const condition = takesConditions ? conditionOf(found) : {}
    const headers = { 'content-type': 'text/plain; charset=utf-8', ...condition }
    try {
      await outbound.fetchBytes(url, { ...options, method: 'PUT', body: note, headers })
      return true
    } catch (error) {
      const status = statusOf(error)
      // 409 is what S3 says of two conditional writes at once.
      if (status === 412 || status === 409) return false
      if (status !== 501 || !takesConditions) throw error
      takesConditions = false
      return write(note, found)
    }
  }

  return {
    where: 'PURSER_LOG_HEAD_URL',
    async read() {
      try {
        const { body, headers } = await outbound.fetchBytes(url, options)
        return { note: body.toString('utf8'), ...(headers.etag !== undefined && { tag: headers.etag }) }
      } catch (error) {
        if (statusOf(error) === 404) return { note: '' }
        throw error
      }
    },
    write,
  }
}

/** If-Match compares strongly: a weak tag never matches (section 8.8.3.2). */
function conditionOf({ note, tag }: StoredHead): Record<string, string> {
  if (tag !== undefined) return tag.startsWith('W/') ? {} : { 'if-match': tag }
  return note === '' ? { 'if-none-match': '*' } : {}
}
