/** A secret's value: a JSON object, stored as text under its own data key. */
import { refuse } from '../errors.ts'
import { type SealingKeyring, openValue, sealValue } from '../keys/data-keys.ts'
import type { SealedValue } from '../store/rows.ts'
import type { VersionRow } from '../store/secret-versions.ts'

export type SecretData = Record<string, unknown>

/** Of the stored text. */
const maxBytes = 192 * 1024

type Place = { id: string; path: string }

const placeOf = ({ id, path }: Place, version: number) => ({ kind: 'secret', id, path, version }) as const

/** @throws Refusal `too_large` for a value over 192 KiB */
export function sealData(keyring: SealingKeyring, secret: Place, version: number, data: SecretData): SealedValue {
  const bytes = Buffer.from(JSON.stringify(data), 'utf8')
  try {
    if (bytes.length > maxBytes) throw refuse('too_large', { detail: 'a value is at most 192 KiB as JSON text' })
    return sealValue(keyring, placeOf(secret, version), bytes)
  } finally {
    bytes.fill(0)
  }
}

/** @throws EnvelopeError where the row was moved or changed: an internal error to callers */
export function openData(keyring: SealingKeyring, secret: Place, row: VersionRow): SecretData {
  if (!row.sealed) throw new Error('a destroyed version has no value')
  const bytes = openValue(keyring, placeOf(secret, row.version), row.sealed)
  try {
    const data: SecretData = JSON.parse(bytes.toString('utf8'))
    return data
  } finally {
    bytes.fill(0)
  }
}
