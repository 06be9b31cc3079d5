/** Reads the values that a caller requests: all of them, or a refusal that names the part. */
import { type Problem, type RefusalCode, refuse } from '../errors.ts'
import type { SealingKeyring } from '../keys/data-keys.ts'
import { NameError } from '../names/errors.ts'
import { type SecretPath, parseSecretPath } from '../names/secret-path.ts'
import type { SecretRead } from '../store/effects.ts'
import type { SecretRow } from '../store/rows.ts'
import type { VersionRow } from '../store/secret-versions.ts'
import { type SecretData, openData } from './value.ts'
import type { Versions } from './versions.ts'

/** A requested secret; the live version unless one is named. */
export type SecretRequest = string | { path: string; version?: number; optional?: boolean }

type SecretValue = { path: string; version: number; data: SecretData; metadata: { createdAt: string } }

export type ReadParts = { versions: Versions; keyring: SealingKeyring }

export type Reader = {
  /** Who holds what is read, by the log: the id of a session, or `operator:<name>`. */
  holder: string
  may: (path: SecretPath) => boolean
  /** Reads no secret from memory: the append refused a decision, since one had changed after it was read. */
  isFresh?: boolean
}

export type ReadSecrets = {
  values: SecretValue[]
  /** For the entry, in the order of the reply. */
  record: { path: string; version: number }[]
  /** The append releases the values only if each secret still has this revision. */
  reads: SecretRead[]
}

type Part = { pointer: string; path: SecretPath; version?: number; optional: boolean }

/**
 * @param pointerOf the pointer of each part in the request, for refusals
 * @throws Refusal `bad_path`, `not_granted` before anything says whether it exists, `not_found`
 */
export async function readSecrets(
  { versions, keyring }: ReadParts,
  requests: readonly SecretRequest[],
  reader: Reader,
  now: Date,
  pointerOf = (index: number): string => `/secrets/${index}`,
): Promise<ReadSecrets> {
  const parts = requests.map((request, index) => partOf(request, pointerOf(index)))
  const denied = parts.filter((part) => !reader.may(part.path) && !part.optional)
  if (denied.length > 0) throw refused('not_granted', denied, 'is not granted to the caller')
  const granted = parts.filter((part) => reader.may(part.path))
  let readable = await findReadable(versions, granted, now, reader.isFresh ?? false)
  // The memory of this process may be behind. Only the append would notice, and a refusal has none.
  if (readable.length < granted.length) readable = await findReadable(versions, granted, now, true)
  const missing = granted.filter((part) => !part.optional && !readable.some(({ pointer }) => pointer === part.pointer))
  if (missing.length > 0) throw refused('not_found', missing, 'does not exist, or has no such version now')
  return {
    values: readable.map(({ secret, row }) => ({
      path: secret.path,
      version: row.version,
      data: openData(keyring, secret, row),
      metadata: { createdAt: row.createdAt.toISOString() },
    })),
    record: readable.map(({ secret, row }) => ({ path: secret.path, version: row.version })),
    reads: readable.map(({ secret, row }) => ({
      secret: secret.id,
      version: row.version,
      holder: reader.holder,
      revision: secret.revision,
    })),
  }
}

async function findReadable(versions: Versions, parts: readonly Part[], now: Date, isFresh: boolean) {
  const queries = parts.map(({ path, version }) => ({ path: path.path, ...(version !== undefined && { version }) }))
  const stored = await versions.find(queries, { isFresh })
  return parts.flatMap((part, index) => {
    const { secret, row } = stored[index] ?? {}
    return secret && row && isReadable(row, secret, now) ? [{ ...part, secret, row }] : []
  })
}

/** @throws Refusal `bad_path` */
export function secretPath(text: string, pointer: string): SecretPath {
  try {
    return parseSecretPath(text)
  } catch (error) {
    if (!(error instanceof NameError)) throw error
    throw refuse('bad_path', { errors: [{ pointer, detail: error.detail }] })
  }
}

function partOf(request: SecretRequest, pointer: string): Part {
  if (typeof request === 'string') return { pointer, path: secretPath(request, pointer), optional: false }
  const { path, version, optional = false } = request
  return { pointer, path: secretPath(path, `${pointer}/path`), optional, ...(version !== undefined && { version }) }
}

/** Whether a version still has a value to read: not staged, deleted, retired, expired or destroyed. */
export function isReadable(row: VersionRow, secret: SecretRow, now: Date): boolean {
  if (!row.sealed || row.staged || row.version > secret.version) return false
  return !row.deletedAt && !row.retiredAt && (row.expiresAt === undefined || row.expiresAt > now)
}

const refused = (code: RefusalCode, parts: readonly Part[], detail: string): Error => {
  const errors: Problem[] = parts.slice(0, 20).map(({ pointer }) => ({ pointer, detail }))
  return refuse(code, { errors })
}
