/** The log's newest head, kept in PURSER_STATE_DIR over a restart: one small file for each trust domain. */
import { join } from 'node:path'
import { PurserError, wordsOf } from '../errors.ts'
import { readPrivate, writePrivate } from './private-file.ts'
import { isObject } from '../verify/canonical.ts'

/** The keys that were trusted, and the signed checkpoint as text. */
export type Kept = { vkeys: string[]; checkpoint: string }

export type HeadFile = {
  path: string
  /** @throws PurserError `bad_state` for a file that is there and can't be used */
  read(): Promise<Kept | undefined>
  write(kept: Kept): Promise<void>
}

export function createHeadFile(dir: string, trustDomain: string): HeadFile {
  const path = join(dir, `log-${trustDomain}.json`)
  const bad = (why: string, cause?: unknown): PurserError =>
    new PurserError(
      'bad_state',
      `${path} ${why}. It holds the log's newest head; remove it only when you know why it is broken, since a fork of ` +
        'the log before now goes unnoticed then',
      { cause },
    )
  return {
    path,
    async read() {
      const text = await readPrivate(path).catch((error: unknown) =>
        raise(bad(`can't be read (${wordsOf(error)})`, error)),
      )
      return text === undefined ? undefined : (readKept(text) ?? raise(bad('is damaged')))
    },
    async write(kept) {
      await writePrivate(path, `${JSON.stringify({ v: 1, ...kept })}\n`)
    },
  }
}

function raise(error: Error): never {
  throw error
}

function readKept(text: string): Kept | undefined {
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
