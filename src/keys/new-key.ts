/** Makes keys: the pair, its wrapped row, and for a CA its certificate. Appends nothing: callers store row and entry. */
import { type KeyObject, createHash, createPrivateKey, generateKeyPair, generateKeyPairSync } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateJwkThumbprint, exportJWK } from 'jose'
import type { KeyKind, KeyRow } from '../store/rows.ts'
import { buildCaCsr, createIssuingCertificate, createRootCertificate } from './ca-certificates.ts'
import { type CertificateIssuer, serialFrom } from './certificate.ts'
import type { NameConstraints } from './extensions.ts'
import type { Keyring } from './keyring.ts'

/** The four times of a key's life. */
export type KeyTimes = Pick<KeyRow, 'createdAt' | 'activeAt' | 'retireAt' | 'goneAt'>

export type KeyMaker = {
  keyring: Keyring
  trustDomain: string
  /** For the CAs that it makes; an issuing CA under a root that has some takes the root's. */
  nameConstraints?: NameConstraints | undefined
  randomBytes: (size: number) => Buffer
}

const namesOf = ({ trustDomain, nameConstraints }: KeyMaker) => ({ trustDomain, nameConstraints })

const spki = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })

/** Certificates are valid from a little earlier: clocks of verifiers may be behind. */
const backdate = (time: Date): Date => new Date(time.getTime() - 60_000)

/** Where a wrapped private key belongs. */
export const keyPlace = (kind: KeyKind, id: string): string[] => ['signing-key', kind, id]

type KeyName = Pick<KeyRow, 'id' | 'kind' | 'algorithm'>

function wrappedRow(
  { keyring }: KeyMaker,
  name: KeyName,
  key: { publicKey: Buffer; secret: Buffer },
  times: KeyTimes,
): KeyRow {
  const wrapped = keyring.wrap(key.secret, keyPlace(name.kind, name.id))
  return { ...name, publicKey: key.publicKey, wrapped, wrappingKeyId: keyring.currentId, ...times }
}

type KeyPair = { publicKey: KeyObject; privateKey: KeyObject }

function pairRow(maker: KeyMaker, name: KeyName, { publicKey, privateKey }: KeyPair, times: KeyTimes): KeyRow {
  const secret = privateKey.export({ type: 'pkcs8', format: 'der' })
  return wrappedRow(maker, name, { publicKey: spki(publicKey), secret }, times)
}

const caRow = (maker: KeyMaker, kind: 'root-ca' | 'issuing-ca', pair: KeyPair, times: KeyTimes): KeyRow =>
  pairRow(maker, { id: hashId('ca', spki(pair.publicKey)), kind, algorithm: 'ES256' }, pair, times)

const hashId = (prefix: string, publicKey: Buffer): string =>
  `${prefix}-${createHash('sha256').update(publicKey).digest('hex').slice(0, 32)}`

const ecPair = (): KeyPair => generateKeyPairSync('ec', { namedCurve: 'P-256' })

export function newRootCa(maker: KeyMaker, times: KeyTimes): KeyRow {
  const pair = ecPair()
  const certificate = createRootCertificate({
    ...namesOf(maker),
    keys: pair,
    serial: serialFrom(maker.randomBytes(16)),
    notBefore: backdate(times.createdAt),
    notAfter: times.goneAt,
  })
  return { ...caRow(maker, 'root-ca', pair, times), chain: certificate.pem }
}

/** @param crlUrl for certificates under the root: where the root's own CRL is */
export function newIssuingCa(
  maker: KeyMaker,
  root: { id: string; issuer: CertificateIssuer },
  times: KeyTimes,
  crlUrl?: string,
): KeyRow {
  const pair = ecPair()
  const notAfter = new Date(Math.min(times.goneAt.getTime(), root.issuer.notAfter.getTime()))
  const certificate = createIssuingCertificate({
    ...namesOf(maker),
    root: root.issuer,
    publicKey: pair.publicKey,
    serial: serialFrom(maker.randomBytes(16)),
    notBefore: backdate(times.createdAt) < root.issuer.notBefore ? root.issuer.notBefore : backdate(times.createdAt),
    notAfter,
    ...(crlUrl !== undefined && { crlUrl }),
  })
  const row = caRow(maker, 'issuing-ca', pair, { ...times, goneAt: notAfter })
  return { ...row, issuerKeyId: root.id, chain: certificate.pem }
}

/** An issuing key for an upstream CA to certify, and the request for it. It has no chain yet, so it signs nothing. */
export function newRequestedCa(maker: KeyMaker, times: KeyTimes): { row: KeyRow; csr: string } {
  const pair = ecPair()
  return { row: caRow(maker, 'issuing-ca', pair, times), csr: buildCaCsr({ ...namesOf(maker), keys: pair }).pem }
}

const rsaPair = promisify(generateKeyPair)

/** The id is the RFC 7638 thumbprint: unique in the trust domain and never used again. */
export async function newJwtKey(maker: KeyMaker, kind: 'jwt-es256' | 'jwt-rs256', times: KeyTimes): Promise<KeyRow> {
  // An RSA key takes a tenth of a second to find: not on this thread.
  const pair = kind === 'jwt-es256' ? ecPair() : await rsaPair('rsa', { modulusLength: 2048, publicExponent: 65537 })
  const id = await calculateJwkThumbprint(await exportJWK(pair.publicKey))
  return pairRow(maker, { id, kind, algorithm: kind === 'jwt-es256' ? 'ES256' : 'RS256' }, pair, times)
}

export function newLogKey(maker: KeyMaker, times: KeyTimes, epoch: number, fromSize: number): KeyRow {
  const pair = generateKeyPairSync('ed25519')
  const id = hashId('log', spki(pair.publicKey))
  return { ...pairRow(maker, { id, kind: 'log', algorithm: 'Ed25519' }, pair, times), epoch, fromSize }
}

/** Keys session ids, instances that are kept out, claims, and list cursors. */
export function newMacKey(maker: KeyMaker, times: KeyTimes): KeyRow {
  const id = `mac-${maker.randomBytes(16).toString('hex')}`
  const key = { publicKey: Buffer.alloc(0), secret: maker.randomBytes(32) }
  return wrappedRow(maker, { id, kind: 'mac', algorithm: 'HS256' }, key, times)
}

/** The same key under the keyring's present wrapping key. A root of an upstream CA has nothing to wrap. */
export function rewrap(keyring: Keyring, row: KeyRow): KeyRow {
  if (row.wrapped.length === 0) return row
  const place = keyPlace(row.kind, row.id)
  const secret = keyring.unwrap(row.wrappingKeyId, row.wrapped, place)
  const wrapped = keyring.wrap(secret, place)
  secret.fill(0)
  return { ...row, wrapped, wrappingKeyId: keyring.currentId }
}

export const readPrivateKey = (bytes: Buffer): KeyObject =>
  createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8' })
