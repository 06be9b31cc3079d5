/** Signs JWT-SVIDs with ES256 keys in memory. */
import { type KeyObject, createPublicKey, generateKeyPairSync, hash, sign, verify } from 'node:crypto'
import { claimsOf } from '../json/parse.ts'
import { canonicalize } from '../verify/canonical.ts'

type JwtKey = { kid: string; privateKey: KeyObject; publicKey: KeyObject }

export type JwtKeys = ReturnType<typeof createJwtKeys>

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

export function createJwtKeys() {
  const newKey = (): JwtKey => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const publicKey = createPublicKey(privateKey)
    const { crv, kty, x, y } = publicKey.export({ format: 'jwk' })
    // The thumbprint of the key (RFC 7638).
    return { kid: hash('sha256', canonicalize({ crv, kty, x, y }), 'base64url'), privateKey, publicKey }
  }
  let current = newKey()
  let published = [current]

  return {
    jwks: (use: 'sig' | 'jwt-svid'): Record<string, unknown>[] =>
      published.map(({ kid, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), use, kid, alg: 'ES256' })),

    sign(claims: object): { token: string; kid: string } {
      const { kid, privateKey } = current
      // The header of a JWT-SVID has no other members (section 2).
      const input = `${encode({ alg: 'ES256', kid, typ: 'JWT' })}.${encode(claims)}`
      const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return { token: `${input}.${signature.toString('base64url')}`, kid }
    },

    /** The claims; undefined unless a published key signed them. */
    read(token: string): Record<string, unknown> | undefined {
      const claims = claimsOf(token)
      const [header = '', payload = '', signature = ''] = token.split('.')
      const signed = Buffer.from(`${header}.${payload}`)
      const isSigned = published.some(({ publicKey: key }) =>
        verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')),
      )
      return isSigned ? claims : undefined
    },

    /** Publishes another key, which signs after `use()`. */
    publish(): { use(): void } {
      const next = newKey()
      published.push(next)
      return { use: () => void (current = next) }
    },
    /** Removes every key except the current one. */
    withdrawOlder(): void {
      published = [current]
    },
  }
}
