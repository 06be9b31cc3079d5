/** Grants → values: what a caller may have of what it asked for, all of it or a refusal that names the part. */
import { type Problem, type RefusalCode, refuse } from '../errors.ts'
import type { SealingKeyring } from '../keys/data-keys.ts'
import { NameError } from '../names/errors.ts'
import { type SecretPath, parseSecretPath } from '../names/secret-path.ts'
import type { SecretRead } from '../store/effects.ts'
import type { SecretRow } from '../store/rows.ts'
import type { VersionRow } from '../store/secret-versions.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type SecretData, openData } from './value.ts'
import type { Versions } from './versions.ts'

/** One secret as it is asked for; a version that is left out is the live one. */
export type Wanted = string | { path: string; version?: number; optional?: boolean }

type SecretValue = { path: string; version: number; data: SecretData; metadata: { createdAt: string } }

export type ReadParts = { versions: Versions; keyring: SealingKeyring }

export type Reader = {
  /** Whom the log says holds what was read: the id of a session, or `operator:<name>`. */
  holder: string
  may: (path: SecretPath) => boolean
}

export type ReadSecrets = {
  values: SecretValue[]
  /** For the entry, in the order of the reply. */
  record: { path: string; version: number }[]
  reads: SecretRead[]
  /** Whether the same values would be read under a newer snapshot. */
  holds: (snapshot: Pick<Snapshot, 'secrets'>) => boolean
}

type Asked = { at: string; path: SecretPath; version?: number; optional: boolean }
type Found = Asked & { secret: SecretRow; wanted: number }

/**
 * @param at the pointer of each part in the request, for refusals
 * @throws Refusal `bad_path`, `not_granted` before anything says whether it exists, `not_found`
 */
export async function readSecrets(
  { versions, keyring }: ReadParts,
  wanted: readonly Wanted[],
  reader: Reader,
  snapshot: Pick<Snapshot, 'secrets'>,
  now: Date,
  at = (n: number): string => `/secrets/${n}`,
): Promise<ReadSecrets> {
  const asked = wanted.map((one, n) => understand(one, at(n)))
  const denied = asked.filter((one) => !reader.may(one.path) && !one.optional)
  if (denied.length > 0) throw refused('not_granted', denied, 'is not granted to the caller')
  const granted = asked.filter((one) => reader.may(one.path))
  const found = granted.flatMap((one): Found[] => {
    const secret = snapshot.secrets.get(one.path.path)
    return secret ? [{ ...one, secret, wanted: one.version ?? secret.version }] : []
  })
  const rows = await versions.find(found.map(({ secret, wanted: version }) => ({ secret, version })))
  const readable = found.flatMap((found, n) => {
    const row = rows[n]
    return row && isReadable(row, found.secret, now) ? [{ ...found, row }] : []
  })
  const missing = granted.filter((one) => !one.optional && !readable.some((other) => other.at === one.at))
  if (missing.length > 0) throw refused('not_found', missing, 'does not exist, or has no such version now')
  return {
    values: readable.map(({ secret, row }) => ({
      path: secret.path,
      version: row.version,
      data: openData(keyring, secret, row),
      metadata: { createdAt: row.createdAt.toISOString() },
    })),
    record: readable.map(({ secret, row }) => ({ path: secret.path, version: row.version })),
    reads: readable.map(({ secret, row }) => ({ secret: secret.id, version: row.version, holder: reader.holder })),
    // What is missing may exist by then; but it did not when the caller asked, and nothing of it leaves.
    holds: (snapshot) =>
      readable.every(({ secret }) => snapshot.secrets.get(secret.path)?.revision === secret.revision),
  }
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

function understand(one: Wanted, at: string): Asked {
  if (typeof one === 'string') return { at, path: secretPath(one, at), optional: false }
  const { path, version, optional = false } = one
  return { at, path: secretPath(path, `${at}/path`), optional, ...(version !== undefined && { version }) }
}

/** Whether anybody may still have the value of a version: it is the secret's, and neither deleted, retired, expired nor destroyed. */
export function isReadable(row: VersionRow, secret: SecretRow, now: Date): boolean {
  if (!row.sealed || row.staged || row.version > secret.version) return false
  return !row.deletedAt && !row.retiredAt && (row.expiresAt === undefined || row.expiresAt > now)
}

const refused = (code: RefusalCode, parts: readonly Asked[], detail: string): Error => {
  const errors: Problem[] = parts.slice(0, 20).map((part) => ({ pointer: part.at, detail }))
  return refuse(code, { errors })
}
