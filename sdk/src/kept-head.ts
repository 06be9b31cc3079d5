/** The log's newest head, kept in PURSER_STATE_DIR over a restart: one small file for each trust domain. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PurserError } from './errors.ts'
import { isObject } from './verify/canonical.ts'

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
      let text: string
      try {
        text = await readFile(path, 'utf8')
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return undefined
        throw bad("can't be read", error)
      }
      return readKept(text) ?? raise(bad('is damaged'))
    },
    async write(kept) {
      // Not its parents: a mistyped path fails, and Node's recursive form never ends in /proc.
      await mkdir(dir, { mode: 0o700 }).catch((error: unknown) => {
        if (!hasCode(error, 'EEXIST')) throw error
      })
      const temporary = `${path}.${randomBytes(8).toString('hex')}`
      try {
        const file = await open(temporary, 'wx', 0o600)
        try {
          await file.writeFile(`${JSON.stringify({ v: 1, ...kept })}\n`)
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(temporary, path)
      } finally {
        await rm(temporary, { force: true })
      }
    },
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

function raise(error: Error): never {
  throw error
}

function readKept(text: string): Kept | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value)) return undefined
    const { v, vkeys, checkpoint } = value
    if (v !== 1 || typeof checkpoint !== 'string' || !Array.isArray(vkeys)) return undefined
    const texts = vkeys.filter((one) => typeof one === 'string')
    return texts.length === vkeys.length && texts.length > 0 ? { vkeys: texts, checkpoint } : undefined
  } catch {
    return undefined
  }
}
