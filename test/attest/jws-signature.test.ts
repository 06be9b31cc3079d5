/** The signature of a proof: RFC 7518 allows one encoding, and other libraries accept more. */
import { type KeyObject, constants, createPublicKey, createSecretKey, generateKeyPairSync, sign } from 'node:crypto'
import { CompactSign } from 'jose'
import { describe, expect, it } from 'vitest'
import { isSignedBy } from '../../src/attest/jws-signature.ts'
import { algorithms } from '../../src/attest/key-set.ts'
import { b64, craft, ec, es256, hs256, plain, rs256, rsa } from './tokens.ts'

const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const edwards = generateKeyPairSync('ed25519')

const pairFor = (alg: string): { publicKey: KeyObject; privateKey: KeyObject } => {
  if (alg === 'ES256') return ec
  if (alg === 'ES384') return p384
  if (alg === 'ES512') return p521
  return alg === 'EdDSA' ? edwards : rsa
}

const partsOf = (token: string): { input: string; signature: Buffer } => {
  const dot = token.lastIndexOf('.')
  return { input: token.slice(0, dot), signature: Buffer.from(token.slice(dot + 1), 'base64url') }
}
const withSignature = (token: string, signature: Uint8Array): string =>
  `${partsOf(token).input}.${b64(Buffer.from(signature))}`

const es256Token = craft({ alg: 'ES256' }, plain(), es256())

describe('signatures of other libraries', () => {
  it.each(algorithms)('jose, %s: the key, another key, another text, another algorithm', async (alg) => {
    const { publicKey, privateKey } = pairFor(alg)
    const token = await new CompactSign(Buffer.from('text')).setProtectedHeader({ alg }).sign(privateKey)
    expect(isSignedBy(token, publicKey, alg)).toBe(true)
    expect(isSignedBy(token.replace('.', 'x.'), publicKey, alg)).toBe(false)
    const accepted = algorithms.filter((other) => isSignedBy(token, publicKey, other))
    expect(accepted).toEqual([alg])
    for (const other of [rsa, ec, p384, p521, edwards]) {
      expect(isSignedBy(token, other.publicKey, alg)).toBe(other.publicKey === publicKey)
    }
  })

  it('RFC 7515 appendix A.3 and RFC 8037 appendix A.4', () => {
    const key = (jwk: Record<string, string>): KeyObject => createPublicKey({ key: jwk, format: 'jwk' })
    const joe = key({
      kty: 'EC',
      crv: 'P-256',
      x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
      y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
    })
    const a3 =
      'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q'
    expect(isSignedBy(a3, joe, 'ES256')).toBe(true)
    const ed = key({ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' })
    const a4 =
      'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg'
    expect(isSignedBy(a4, ed, 'EdDSA')).toBe(true)
  })
})

describe('ECDSA', () => {
  const { input, signature } = partsOf(es256Token)
  const der = sign('sha256', Buffer.from(input), ec.privateKey)
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')

  it.each<[string, Uint8Array]>([
    ['nothing', Buffer.alloc(0)],
    ['zeros (CVE-2022-21449)', Buffer.alloc(64)],
    ['r = 0', Buffer.concat([Buffer.alloc(32), signature.subarray(32)])],
    ['s = 0', Buffer.concat([signature.subarray(0, 32), Buffer.alloc(32)])],
    ['r = s = the order', Buffer.concat([order, order])],
    ['the DER form', der],
    ['r alone', signature.subarray(0, 32)],
    ['a byte less', signature.subarray(0, 63)],
    ['a byte more', Buffer.concat([signature, Buffer.alloc(1)])],
    ['r and s with a zero before each', Buffer.concat([Buffer.alloc(1), signature.subarray(0, 32), Buffer.alloc(1), signature.subarray(32)])],
    ['s and r', Buffer.concat([signature.subarray(32), signature.subarray(0, 32)])],
  ])('%s is not a valid signature', (_, wrong) => {
    expect(isSignedBy(withSignature(es256Token, wrong), ec.publicKey, 'ES256')).toBe(false)
  }) // prettier-ignore

  it('the algorithm determines the digest, though the curve would allow any', () => {
    const other = craft({ alg: 'ES256' }, plain(), (text) =>
      sign('sha384', Buffer.from(text), { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }),
    )
    expect(isSignedBy(other, ec.publicKey, 'ES256')).toBe(false)
  })

  it('another curve of the same length is refused', () => {
    const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    const token = craft({ alg: 'ES256' }, plain(), es256(koblitz.privateKey))
    expect(isSignedBy(token, koblitz.publicKey, 'ES256')).toBe(false)
  })
})

describe('RSA', () => {
  const signToken = (digest: string, padding: number, saltLength?: number): string =>
    craft({ alg: 'any' }, plain(), (input) =>
      sign(digest, Buffer.from(input), {
        key: rsa.privateKey,
        padding,
        ...(saltLength !== undefined && { saltLength }),
      }),
    )

  it('PSS requires a salt as long as the digest', () => {
    const by = (saltLength: number): boolean =>
      isSignedBy(signToken('sha256', constants.RSA_PKCS1_PSS_PADDING, saltLength), rsa.publicKey, 'PS256')
    expect([0, 20, 31, 32, 33, 222].map(by)).toEqual([false, false, false, true, false, false])
  })

  it('PKCS#1 v1.5 is not PSS, and PSS not PKCS#1 v1.5', () => {
    expect(isSignedBy(signToken('sha256', constants.RSA_PKCS1_PADDING), rsa.publicKey, 'PS256')).toBe(false)
    expect(isSignedBy(signToken('sha256', constants.RSA_PKCS1_PSS_PADDING, 32), rsa.publicKey, 'RS256')).toBe(false)
  })

  it('SHA-1 is refused by every algorithm', () => {
    const token = signToken('sha1', constants.RSA_PKCS1_PADDING)
    expect(algorithms.filter((alg) => isSignedBy(token, rsa.publicKey, alg))).toEqual([])
  })

  it('a signature of another length, or an empty one', () => {
    const token = craft({ alg: 'RS256' }, plain(), rs256())
    const { signature } = partsOf(token)
    const wrong = [Buffer.alloc(0), signature.subarray(1), Buffer.concat([Buffer.alloc(1), signature]), Buffer.alloc(256)]
    for (const bytes of wrong) expect(isSignedBy(withSignature(token, bytes), rsa.publicKey, 'RS256')).toBe(false)
  }) // prettier-ignore
})

describe('keys that are not public keys of the algorithm', () => {
  it('a private key, a secret one', () => {
    expect(isSignedBy(es256Token, ec.privateKey, 'ES256')).toBe(false)
    const secret = createSecretKey(Buffer.alloc(32, 7))
    const hmac = craft({ alg: 'HS256' }, plain(), hs256(Buffer.alloc(32, 7)))
    expect([...algorithms, 'HS256'].filter((alg) => isSignedBy(hmac, secret, alg))).toEqual([])
  })

  it('an RSA key that is restricted to PSS verifies no PKCS#1 v1.5, and no JWK creates such a key', () => {
    const bound = generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
    const token = craft({ alg: 'PS256' }, plain(), (input) =>
      sign('sha256', Buffer.from(input), { key: bound.privateKey, saltLength: 32 }),
    )
    expect(algorithms.filter((alg) => isSignedBy(token, bound.publicKey, alg))).toEqual([])
  })

  it.each(['none', 'HS256', 'ES256K', 'Ed25519', 'rs256', '', 'constructor', '__proto__'])('alg %j', (alg) => {
    expect(isSignedBy(es256Token, ec.publicKey, alg)).toBe(false)
    expect(isSignedBy(withSignature(es256Token, Buffer.alloc(0)), ec.publicKey, alg)).toBe(false)
  })
})
