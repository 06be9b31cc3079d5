/** The log's newest head in PURSER_STATE_DIR, for the next start: one small file for each trust domain. */
import { join } from 'node:path'
import { PurserError, wordsOf } from '../errors.ts'
import { readPrivate, writePrivate } from './private-file.ts'
import { isObject } from '../verify/canonical.ts'

/** The trusted keys, and the signed checkpoint as text. */
export type StoredHead = { vkeys: string[]; checkpoint: string }

export type HeadFile = ReturnType<typeof createHeadFile>

export function createHeadFile(dir: string, trustDomain: string) {
  const path = join(dir, `log-${trustDomain}.json`)
  const bad = (why: string, cause?: unknown): PurserError =>
    new PurserError(
      'bad_state',
      `${path} ${why}. It holds the log's newest head. Find out why before you remove it: without it, an earlier fork ` +
        'of the log goes unnoticed',
      { cause },
    )
  return {
    path,
    /** @throws PurserError `bad_state` for an unusable file */
    async read(): Promise<StoredHead | undefined> {
      const text = await readPrivate(path).catch((error: unknown) =>
        raise(bad(`can't be read (${wordsOf(error)})`, error)),
      )
      return text === undefined ? undefined : (readHead(text) ?? raise(bad('is damaged')))
    },
    async write(head: StoredHead): Promise<void> {
      await writePrivate(path, `${JSON.stringify({ v: 1, ...head })}\n`)
    },
  }
}

function raise(error: Error): never {
  throw error
}

function readHead(text: string): StoredHead | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value)) return undefined
    const { v, vkeys, checkpoint } = value
    if (v !== 1 || typeof checkpoint !== 'string' || !Array.isArray(vkeys)) return undefined
    const texts = vkeys.filter((vkey) => typeof vkey === 'string')
    return texts.length === vkeys.length && texts.length > 0 ? { vkeys: texts, checkpoint } : undefined
  } catch {
    return undefined
  }
}
