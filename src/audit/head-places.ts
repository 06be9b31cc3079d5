/**
 * Places outside of the database that keep the newest signed head: a file in the data directory, or an object behind a
 * URL. With them a server detects at its start that the database was restored to an older state.
 */
import { randomUUID } from 'node:crypto'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Outbound } from '../outbound/client.ts'
import { OutboundError } from '../outbound/errors.ts'

/** The note, empty when there is none yet, and the entity tag of the place, if it has one. */
export type StoredHead = { note: string; tag?: string }

/** A place that keeps one head. */
export type HeadPlace = {
  /** The path or setting, for messages. */
  where: string
  /** Rejects when the place can't be read. */
  read(): Promise<StoredHead>
  /** Returns false, and replaces nothing, when another replica wrote after `previous` was read. */
  write(note: string, previous: StoredHead): Promise<boolean>
}

/** Replaces the file atomically. It is on the disk before `write` resolves. */
export function headFile(dataDir: string): HeadPlace {
  const path = join(dataDir, 'log-head')
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
      // A rename is durable once the directory is synced (fsync(2), NOTES), where the system supports that.
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
 * is conditional (RFC 9110 section 13.1), where the store supports conditions and has strong entity tags.
 */
export function headObject(url: string, outbound: Pick<Outbound, 'fetchBytes'>): HeadPlace {
  const options = { configured: true, maxBytes: 65_536 }
  let supportsConditions = true
  const statusOf = (error: unknown): number | undefined => (error instanceof OutboundError ? error.status : undefined)

  async function write(note: string, previous: StoredHead): Promise<boolean> {
    const condition = supportsConditions ? conditionOf(previous) : {}
    const headers = { 'content-type': 'text/plain; charset=utf-8', ...condition }
    try {
      await outbound.fetchBytes(url, { ...options, method: 'PUT', body: note, headers })
      return true
    } catch (error) {
      const status = statusOf(error)
      // S3 answers 409 to concurrent conditional writes.
      if (status === 412 || status === 409) return false
      if (status !== 501 || !supportsConditions) throw error
      supportsConditions = false
      return write(note, previous)
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

/** If-Match uses strong comparison: a weak tag never matches (RFC 9110 section 8.8.3.2). */
function conditionOf({ note, tag }: StoredHead): Record<string, string> {
  if (tag !== undefined) return tag.startsWith('W/') ? {} : { 'if-match': tag }
  return note === '' ? { 'if-none-match': '*' } : {}
}
