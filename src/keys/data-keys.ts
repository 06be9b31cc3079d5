/**
 * Envelope encryption of values (docs/architecture.md, Keys): each value has its own data key, which the keyring wraps.
 * Both ciphertexts are bound to their place, so that one that is moved to another row, version, path or instance does
 * not open.
 */
import { createSecretKey, randomBytes } from 'node:crypto'
import type { SealedValue } from '../store/rows.ts'
import { decrypt, encrypt } from './envelope.ts'
import type { Keyring } from './keyring.ts'

/**
 * What a value is: one version of a secret, the credential of a database, or the secret of an authenticator app. `id` is
 * random and never used again.
 */
export type ValuePlace =
  | { kind: 'secret'; id: string; path: string; version: number }
  | { kind: 'database'; id: string; revision: number }
  | { kind: 'totp'; id: string }

/** The first field says which of them it is; the keyring puts the wrapping key's id before those of a data key. */
function fieldsOf(place: ValuePlace): string[] {
  if (place.kind === 'secret') return ['secret', place.id, place.path, String(place.version)]
  if (place.kind === 'totp') return ['totp', place.id]
  return ['database', place.id, String(place.revision)]
}

export type SealingKeyring = Pick<Keyring, 'currentId' | 'wrap' | 'unwrap' | 'instanceId'>

const valueFields = (keyring: SealingKeyring, place: ValuePlace): string[] => [
  keyring.instanceId,
  ...fieldsOf(place),
  'value',
]
const keyFields = (place: ValuePlace): string[] => [...fieldsOf(place), 'data-key']

/** Seals under a new data key, and wraps that by the keyring's current key. */
export function sealValue(keyring: SealingKeyring, place: ValuePlace, plaintext: Buffer): SealedValue {
  const dataKey = randomBytes(32)
  try {
    return {
      wrappingKeyId: keyring.currentId,
      dataKey: keyring.wrap(dataKey, keyFields(place)),
      ciphertext: encrypt(createSecretKey(dataKey), plaintext, valueFields(keyring, place)),
    }
  } finally {
    dataKey.fill(0)
  }
}

/** @throws EnvelopeError when either was moved or changed; Error when the wrapping key is missing */
export function openValue(keyring: SealingKeyring, place: ValuePlace, sealed: SealedValue): Buffer {
  const dataKey = keyring.unwrap(sealed.wrappingKeyId, sealed.dataKey, keyFields(place))
  try {
    return decrypt(createSecretKey(dataKey), sealed.ciphertext, valueFields(keyring, place))
  } finally {
    dataKey.fill(0)
  }
}

/**
 * The same data key under the keyring's current wrapping key; the value isn't touched.
 * @throws EnvelopeError when it was moved or changed; Error when the wrapping key is missing
 */
export function rewrapValue(
  keyring: SealingKeyring,
  place: ValuePlace,
  sealed: Pick<SealedValue, 'wrappingKeyId' | 'dataKey'>,
): Pick<SealedValue, 'wrappingKeyId' | 'dataKey'> {
  const dataKey = keyring.unwrap(sealed.wrappingKeyId, sealed.dataKey, keyFields(place))
  try {
    return { wrappingKeyId: keyring.currentId, dataKey: keyring.wrap(dataKey, keyFields(place)) }
  } finally {
    dataKey.fill(0)
  }
}
