/** Generates values from a policy: passwords, UUIDs, key pairs. */
import { generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'
import type { Problem } from '../errors.ts'
import { type Next, RotatorError } from './rotators/rotator.ts'
import type { SecretData } from './value.ts'

const alphabets = {
  alphanumeric: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789',
  'lower-alphanumeric': 'abcdefghijklmnopqrstuvwxyz0123456789',
  hex: '0123456789abcdef',
  digits: '0123456789',
  'url-safe': 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_',
  // Without quotes, backslash, dollar and backtick, which break in shells, connection strings and files.
  printable: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#%&()*+,-./:;<=>?@[]^_{|}~',
} as const

type KeyPairKind = 'ed25519' | 'ec-p256' | 'rsa-2048'

/** How one member of the value is generated. */
type FieldSpec =
  | { length: number; alphabet: keyof typeof alphabets }
  /** Each character is equally likely. */
  | { length: number; characters: string }
  | { uuid: true }
  | { keyPair: KeyPairKind }

export type FieldSpecs = Record<string, FieldSpec>

/** The least entropy of a generated password, in bits: it cannot be guessed offline. */
const minBits = 128

const charactersOf = (spec: Extract<FieldSpec, { length: number }>): string =>
  'alphabet' in spec ? alphabets[spec.alphabet] : spec.characters

/** @param at the pointer of the fields */
export function checkFields(fields: FieldSpecs, at: string): Problem[] {
  return Object.entries(fields).flatMap(([name, spec]): Problem[] => {
    if (!('length' in spec)) return []
    const pointer = `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const characters = charactersOf(spec)
    if (new Set(characters).size !== characters.length)
      return [{ pointer: `${pointer}/characters`, detail: 'names a character twice, which would come twice as often' }]
    if (characters.length < 2) return [{ pointer: `${pointer}/characters`, detail: 'must be two characters or more' }]
    const perCharacter = Math.log2(characters.length)
    if (spec.length * perCharacter >= minBits) return []
    const min = Math.ceil(minBits / perCharacter)
    return [{ pointer: `${pointer}/length`, detail: `must be ${min} or more: fewer are less than 128 random bits` }]
  })
}

/**
 * Bytes beyond the largest multiple of the alphabet's size are drawn again: a bare modulo favours the first characters.
 */
function password(characters: string, length: number, randomBytes: (size: number) => Buffer): string {
  const usable = 256 - (256 % characters.length)
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length - text.length)) {
      if (byte < usable) text += characters[byte % characters.length] ?? ''
    }
  }
  return text
}

/** RFC 9562, version 4. */
function uuid(randomBytes: (size: number) => Buffer): string {
  const bytes = Buffer.from(randomBytes(16))
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

const makePair = promisify(generateKeyPair)

async function keyPair(kind: KeyPairKind): Promise<{ privateKey: string; publicKey: string }> {
  const { privateKey, publicKey } = await pairOf(kind)
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

function pairOf(kind: KeyPairKind) {
  if (kind === 'ed25519') return makePair('ed25519')
  if (kind === 'ec-p256') return makePair('ec', { namedCurve: 'P-256' })
  return makePair('rsa', { modulusLength: 2048 })
}

async function generateField(spec: FieldSpec, randomBytes: (size: number) => Buffer): Promise<unknown> {
  if ('uuid' in spec) return uuid(randomBytes)
  if ('keyPair' in spec) return keyPair(spec.keyPair)
  return password(charactersOf(spec), spec.length, randomBytes)
}

/**
 * Members of the live value that no field names stay unchanged.
 * @throws RotatorError where such members were deleted or have expired: a rotation does not bring them back
 */
export async function generateData(
  fields: FieldSpecs,
  { current = {}, isOver = false }: Pick<Next, 'current' | 'isOver'>,
  randomBytes: (size: number) => Buffer,
): Promise<SecretData> {
  if (isOver && Object.keys(current).some((name) => !Object.hasOwn(fields, name))) throw restoresMembers()
  const generated = await Promise.all(
    Object.entries(fields).map(async ([name, spec]) => [name, await generateField(spec, randomBytes)] as const),
  )
  return { ...current, ...Object.fromEntries(generated) }
}

const restoresMembers = (): RotatorError =>
  new RotatorError(
    'no_live_value',
    'the live version was deleted or has expired, and has members that no field names: undelete it, put one, or send data',
    { hopeless: true },
  )
