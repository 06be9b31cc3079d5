/**
 * Tokens with chosen contents, truly signed, and a verifier that knows the keys. The test controls clock and network.
 */
import { type KeyObject, generateKeyPairSync, sign as signBytes } from 'node:crypto'
import { readBundle } from '../../sdk/src/bundle/bundle.ts'
import type { Revocation } from '../../sdk/src/jwt/revocation.ts'
import { createVerifyJwt } from '../../sdk/src/jwt/verify-jwt.ts'
import { rootPem } from './fake-purser.ts'

type Json = Record<string, unknown>
type Pair = { publicKey: KeyObject; privateKey: KeyObject }

export const pairs = {
  ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  stranger: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
}

export const jwk = ({ publicKey }: Pair, kid: string, more: Json = {}): Json => ({
  ...publicKey.export({ format: 'jwk' }),
  kid,
  use: 'jwt-svid',
  ...more,
})

const x5c = rootPem.replace(/-----[A-Z ]+-----|\s/g, '')
export const bundleOf = (keys: Json[]) =>
  readBundle(JSON.stringify({ keys: [{ kty: 'EC', use: 'x509-svid', x5c: [x5c] }, ...keys] }))

export const start = 1_795_000_000
export const good = {
  iss: 'https://purser.example.org',
  sub: 'spiffe://example.org/lab/web',
  aud: ['payments'],
  iat: start,
  nbf: start,
  exp: start + 300,
  jti: '00112233445566778899aabbccddeeff',
}

export const segment = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A header and payload as passed (text stays unchanged), signed with SHA-256. */
export function signed(header: unknown, claims: unknown, key: KeyObject = pairs.ec.privateKey): string {
  const text = `${segment(header)}.${segment(claims)}`
  const signature = signBytes('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
  return `${text}.${signature.toString('base64url')}`
}

export const header = { alg: 'ES256', kid: 'e1', typ: 'JWT' }
export const token = (claims: Json = {}, more: Json = {}): string =>
  signed({ ...header, ...more }, { ...good, ...claims })

export function createVerifier(revocation: Revocation = async () => undefined) {
  const state = {
    bundle: bundleOf([jwk(pairs.ec, 'e1'), jwk(pairs.rsa, 'r1')]),
    /** The result of the next refresh. */
    next: undefined as ReturnType<typeof bundleOf> | Error | undefined,
    seconds: start + 10,
    refreshes: 0,
    warnings: [] as string[],
  }
  const verifyJwt = createVerifyJwt({
    bundles: {
      get: async () => state.bundle,
      async refresh() {
        state.refreshes++
        if (state.next instanceof Error) throw state.next
        return (state.bundle = state.next ?? state.bundle)
      },
    },
    revocation,
    trustDomain: 'example.org',
    closing: new AbortController().signal,
    warn: (warning) => void state.warnings.push(warning),
    now: () => state.seconds * 1000,
  })
  return Object.assign(state, { verifyJwt })
}
