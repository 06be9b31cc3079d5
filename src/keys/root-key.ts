/**
 * The root key: the one key that is not in the database. It only wraps the keyring. A provider answers with two
 * functions, so that a KMS or a quorum of shares can stand behind the same interface.
 */
import { type KeyObject, createHash, createSecretKey, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, openSync, readFileSync, writeSync, closeSync, fsyncSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { folderFault } from '@purser/sdk/checks'
import { decrypt, encrypt } from './envelope.ts'

export type RootKey = {
  /** Names the key without telling it; stored beside what it wrapped. */
  id: string
  wrap(plaintext: Buffer, fields: readonly string[]): Promise<Buffer>
  unwrap(wrapped: Buffer, fields: readonly string[]): Promise<Buffer>
}

class RootKeyError extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  constructor(detail: string) {
    super(detail)
    this.name = 'RootKeyError'
  }
}

function localRootKey(bytes: Buffer): RootKey {
  const key: KeyObject = createSecretKey(bytes)
  const id = `local-${createHash('sha256').update('purser root key id').update(bytes).digest('hex').slice(0, 16)}`
  return {
    id,
    wrap: async (plaintext, fields) => encrypt(key, plaintext, ['root-key', id, ...fields]),
    unwrap: async (wrapped, fields) => decrypt(key, wrapped, ['root-key', id, ...fields]),
  }
}

/** 32 bytes in standard base64, as `purser root-key generate` prints them. */
function parseRootKey(text: string): Buffer {
  const trimmed = text.trim()
  const bytes = Buffer.from(trimmed, 'base64')
  if (bytes.length !== 32 || bytes.toString('base64') !== trimmed) {
    throw new RootKeyError('the root key must be 32 bytes in base64; `purser root-key generate` makes one')
  }
  return bytes
}

export const generateRootKey = (): string => randomBytes(32).toString('base64')

export type RootKeySource =
  | { kind: 'value'; value: string }
  /** `create`: generated where it is missing; only for the embedded store, whose folder holds database and root key. */
  | { kind: 'file'; path: string; create: boolean }

/**
 * @param warn gets what a root key is accepted with
 * @throws RootKeyError that says what to do
 */
export function openRootKey(source: RootKeySource, warn: (words: string) => void = () => undefined): RootKey {
  if (source.kind === 'value') return localRootKey(parseRootKey(source.value))
  if (!existsSync(source.path)) {
    if (!source.create) {
      throw new RootKeyError(
        `there is no root key: set PURSER_ROOT_KEY_FILE or PURSER_ROOT_KEY to one made by \`purser root-key generate\` (looked at ${source.path})`,
      )
    }
    writeRootKey(source.path, generateRootKey())
  }
  checkFile(source.path, warn)
  return localRootKey(parseRootKey(readFileSync(source.path, 'utf8')))
}

/** @throws RootKeyError where others can read it, or put another key in its place */
function checkFile(path: string, warn: (words: string) => void): void {
  const { mode, uid } = statSync(path)
  if ((mode & 0o077) !== 0) throw new RootKeyError(`the root key file ${path} can be read by others: chmod 600 it`)
  const owner = folderFault({ uid, mode: 0 })
  if (owner !== undefined) throw new RootKeyError(`the root key file ${path} is another user's: ${owner}. chown it`)
  const folder = dirname(path)
  const place = statSync(folder)
  const fault = folderFault(place)
  if (fault === undefined) return
  const words = `others can replace the root key in ${folder}: ${fault}`
  // Kubernetes gives the folders of a volume to a group (fsGroup).
  const isForGroup = folderFault({ uid: place.uid, mode: place.mode & ~0o020 }) === undefined
  if (!isForGroup)
    throw new RootKeyError(
      `${words}. chown the folder, and chmod go-w it, or keep the key in a folder of mode 0700 in it`,
    )
  warn(`${words}. Keep the key in a folder of mode 0700, unless this server alone is in the folder's group`)
}

/** Never overwrites: a lost root key is a lost database. */
export function writeRootKey(path: string, key: string): void {
  const file = openSync(path, 'wx', 0o600)
  try {
    writeSync(file, `${key}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  chmodSync(path, 0o600)
}
