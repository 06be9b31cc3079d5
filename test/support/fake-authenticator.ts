/**
 * A fake of an authenticator and its browser: it makes responses of WebAuthn with node:crypto, also wrong ones. The interop
 * suite has the real ones of Chromium.
 */
import { type KeyObject, createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export type Algorithm = 'ES256' | 'EdDSA' | 'RS256' | 'ES384'

/** What differs from a right response. */
export type Twist = {
  origin?: string
  rpId?: string
  type?: string
  crossOrigin?: boolean
  challenge?: string
  flags?: number
  counter?: number
  userHandle?: string
  fmt?: string
  attStmt?: Cbor
  attestationObject?: Buffer
  signature?: Buffer
}

export type Options = {
  challenge: string
  rp?: { id: string }
  rpId?: string
  user?: { id: string }
}

type Cbor = number | string | Buffer | Cbor[] | Map<number | string, Cbor>

function head(major: number, value: number): Buffer {
  if (value < 24) return Buffer.from([(major << 5) | value])
  if (value < 256) return Buffer.from([(major << 5) | 24, value])
  const bytes = Buffer.from([(major << 5) | 25, 0, 0])
  bytes.writeUInt16BE(value, 1)
  return bytes
}

/** RFC 8949, as far as WebAuthn needs it. */
export function cbor(value: Cbor): Buffer {
  if (typeof value === 'number') return value >= 0 ? head(0, value) : head(1, -1 - value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)])
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, inner]) => [cbor(key), cbor(inner)])])
}

const bytesOf = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url')

function newKey(algorithm: Algorithm): { privateKey: KeyObject; cose: Buffer } {
  if (algorithm === 'RS256') {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const { n, e } = publicKey.export({ format: 'jwk' })
    return { privateKey, cose: cbor(new Map<number, Cbor>([[1, 3], [3, -257], [-1, bytesOf(n)], [-2, bytesOf(e)]])) } // prettier-ignore
  }
  if (algorithm === 'EdDSA') {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const { x } = publicKey.export({ format: 'jwk' })
    return { privateKey, cose: cbor(new Map<number, Cbor>([[1, 1], [3, -8], [-1, 6], [-2, bytesOf(x)]])) } // prettier-ignore
  }
  const isP256 = algorithm === 'ES256'
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: isP256 ? 'P-256' : 'P-384' })
  const { x, y } = publicKey.export({ format: 'jwk' })
  const [alg, curve] = isP256 ? [-7, 1] : [-35, 2]
  return { privateKey, cose: cbor(new Map<number, Cbor>([[1, 2], [3, alg], [-1, curve], [-2, bytesOf(x)], [-3, bytesOf(y)]])) } // prettier-ignore
}

/** User present, user verified; attested credential data. */
const present = 0x01
const verified = 0x04
const attested = 0x40

export type FakeAuthenticator = ReturnType<typeof createFakeAuthenticator>

export function createFakeAuthenticator(origin: string, algorithm: Algorithm = 'ES256') {
  const { privateKey, cose } = newKey(algorithm)
  const credentialId = randomBytes(32)
  const id = credentialId.toString('base64url')
  let userHandle = ''
  let counter = 0

  function authenticatorData(rpId: string, twist: Twist, more: Buffer): Buffer {
    const data = Buffer.alloc(37)
    createHash('sha256')
      .update(twist.rpId ?? rpId)
      .digest()
      .copy(data)
    data.writeUInt8(twist.flags ?? present | verified | (more.length > 0 ? attested : 0), 32)
    data.writeUInt32BE(twist.counter ?? counter, 33)
    return Buffer.concat([data, more])
  }

  const clientData = (type: string, { challenge }: Options, twist: Twist): Buffer =>
    Buffer.from(
      JSON.stringify({
        type: twist.type ?? type,
        challenge: twist.challenge ?? challenge,
        origin: twist.origin ?? origin,
        crossOrigin: twist.crossOrigin ?? false,
      }),
    )

  return {
    id,
    /** As `navigator.credentials.create` does. */
    create(options: Options, twist: Twist = {}) {
      userHandle = options.user?.id ?? ''
      const length = Buffer.alloc(2)
      length.writeUInt16BE(credentialId.length)
      const data = authenticatorData(
        options.rp?.id ?? '',
        twist,
        Buffer.concat([Buffer.alloc(16), length, credentialId, cose]),
      )
      const attestation = cbor(
        new Map<string, Cbor>([
          ['fmt', twist.fmt ?? 'none'],
          ['attStmt', twist.attStmt ?? new Map<string, Cbor>()],
          ['authData', data],
        ]),
      )
      return {
        id,
        clientDataJSON: clientData('webauthn.create', options, twist).toString('base64url'),
        attestationObject: (twist.attestationObject ?? attestation).toString('base64url'),
      }
    },
    /** As `navigator.credentials.get` does. The counter goes up at each use, from 1. */
    get(options: Options, twist: Twist = {}) {
      counter++
      const data = authenticatorData(options.rpId ?? '', twist, Buffer.alloc(0))
      const client = clientData('webauthn.get', options, twist)
      const signed = Buffer.concat([data, createHash('sha256').update(client).digest()])
      const hash = algorithm === 'EdDSA' ? null : algorithm === 'ES384' ? 'sha384' : 'sha256'
      return {
        id,
        clientDataJSON: client.toString('base64url'),
        authenticatorData: data.toString('base64url'),
        signature: (twist.signature ?? sign(hash, signed, privateKey)).toString('base64url'),
        userHandle: twist.userHandle ?? userHandle,
      }
    },
  }
}
