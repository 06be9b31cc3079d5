/**
 * The open keys of one process: which signs now, which are published. The only functions outside this folder that touch
 * private keys get them from here, as KeyObjects that can't be printed.
 */
import { type KeyObject, createHash, createPublicKey, createSecretKey } from 'node:crypto'
import { type NoteSigner, createNoteSigner, formatVkey } from '@purser/sdk/verify'
import { refuse } from '../errors.ts'
import type { KeyKind, KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type CertificateIssuer, createIssuer } from './certificate.ts'
import type { Keyring } from './keyring.ts'
import { keyPlace, readPrivateKey } from './new-key.ts'

export type OpenKey = { row: KeyRow; key: KeyObject }
export type OpenCa = { row: KeyRow; issuer: CertificateIssuer; chain: string }

type KeySnapshot = Pick<Snapshot, 'keys'>

export type Keys = ReturnType<typeof createKeys>

/** An issuing key whose certificate an upstream CA has yet to sign. */
export const isRequested = (row: KeyRow): boolean => row.kind === 'issuing-ca' && row.chain === undefined

/** An upstream CA's root: we publish its certificate and hold no key of it. */
export const isUpstream = (row: KeyRow): boolean => row.kind === 'root-ca' && row.wrapped.length === 0

/** Published and not yet gone, newest first. A withdrawn key is neither. */
export const publishedKeys = (snapshot: KeySnapshot, kind: KeyKind, now: Date): KeyRow[] =>
  [...snapshot.keys.values()]
    .filter((row) => row.kind === kind && !row.withdrawnAt && row.createdAt <= now && row.goneAt > now)
    .filter((row) => !isRequested(row))
    .sort((a, b) => b.activeAt.getTime() - a.activeAt.getTime())

/**
 * The key that signs now: the newest one past its first use. Past its retirement it still signs when nothing has
 * replaced it, since an outage of the rotation must not become an outage of issuing before the key itself ends.
 */
export function signingKey(snapshot: KeySnapshot, kind: KeyKind, now: Date): KeyRow | undefined {
  const usable = publishedKeys(snapshot, kind, now).filter((row) => row.activeAt <= now && !isUpstream(row))
  return usable.find((row) => row.retireAt > now) ?? usable[0]
}

const signsCredentials: ReadonlySet<KeyKind> = new Set(['issuing-ca', 'jwt-es256', 'jwt-rs256'])

/** What was issued before is expired: no credential outlives its key, so a live one is younger than a key's first use. */
export function oldestLive(snapshot: KeySnapshot, now: Date): Date {
  const live = [...snapshot.keys.values()].filter((row) => signsCredentials.has(row.kind) && row.goneAt > now)
  return new Date(Math.min(now.getTime() - accessTokenMs, ...live.map((row) => row.activeAt.getTime())))
}
/** An access token is signed by no key. */
const accessTokenMs = 3600_000

const keyHashes = new WeakMap<Snapshot['keys'], Set<string>>()

/** Whether a public key is one of our own, which no workload may have certified. By SHA-256 of its SPKI, hex. */
export function isOwnKey(snapshot: KeySnapshot, publicKeySha256: string): boolean {
  let hashes = keyHashes.get(snapshot.keys)
  if (!hashes) {
    hashes = new Set([...snapshot.keys.values()].map((row) => createHash('sha256').update(row.publicKey).digest('hex')))
    keyHashes.set(snapshot.keys, hashes)
  }
  return hashes.has(publicKeySha256)
}

export const publicKeyOf = (row: KeyRow): KeyObject =>
  createPublicKey({ key: row.publicKey, format: 'der', type: 'spki' })

/** The log's verification key in C2SP form. */
export const logVkey = (row: KeyRow, origin: string): string => formatVkey(origin, publicKeyOf(row))

export function createKeys(keyring: Keyring) {
  const open = new Map<string, KeyObject>()
  const cas = new Map<string, OpenCa>()

  function keyOf(row: KeyRow): KeyObject {
    const opened = open.get(row.id)
    if (opened) return opened
    const secret = keyring.unwrap(row.wrappingKeyId, row.wrapped, keyPlace(row.kind, row.id))
    const key = row.kind === 'mac' ? createSecretKey(secret) : readPrivateKey(secret)
    secret.fill(0)
    open.set(row.id, key)
    return key
  }

  function ca(row: KeyRow): OpenCa {
    const cached = cas.get(row.id)
    if (cached?.row === row) return cached
    if (!row.chain) throw new Error(`key ${row.id} has no certificate`)
    // Its times may have changed, or its wrapping: the certificate is the same.
    const issuer = cached?.issuer ?? createIssuer({ pem: firstOf(row.chain), privateKey: keyOf(row) })
    const opened = { row, issuer, chain: row.chain }
    cas.set(row.id, opened)
    return opened
  }

  function requireKey(snapshot: KeySnapshot, kind: KeyKind, now: Date): KeyRow {
    const row = signingKey(snapshot, kind, now)
    if (!row) throw refuse('unavailable', { detail: `there is no ${kind} key that signs now` })
    return row
  }

  const signers = new Map<string, NoteSigner>()
  /** Needed for every batch, and creating one costs a key import. */
  function noteSigner(origin: string, row: KeyRow): NoteSigner {
    let signer = signers.get(row.id)
    if (!signer) {
      signer = createNoteSigner(origin, keyOf(row))
      signers.set(row.id, signer)
    }
    return signer
  }

  return {
    /** The key of a kind that signs now. @throws Refusal `unavailable` when there is none */
    signing(snapshot: KeySnapshot, kind: 'jwt-es256' | 'jwt-rs256' | 'mac', now: Date): OpenKey {
      const row = requireKey(snapshot, kind, now)
      return { row, key: keyOf(row) }
    },
    issuingCa: (snapshot: KeySnapshot, now: Date) => ca(requireKey(snapshot, 'issuing-ca', now)),
    rootCa: (snapshot: KeySnapshot, now: Date) => ca(requireKey(snapshot, 'root-ca', now)),
    ca,
    // By sizes and not by the clock, so that the ranges that /log/keys lists are exact. A withdrawn key may still sign
    // what lies in its range: another replica may not have signed those heads yet.
    /** The log keys of this epoch whose range holds the size; during an overlap two, the older first. */
    logSigners: (snapshot: KeySnapshot, origin: string, epoch: number, size: number): NoteSigner[] =>
      [...snapshot.keys.values()]
        .filter((row) => row.kind === 'log' && row.epoch === epoch)
        .filter((row) => (row.fromSize ?? 0) <= size && size <= (row.toSize ?? Infinity))
        .sort((a, b) => (a.fromSize ?? 0) - (b.fromSize ?? 0))
        .map((row) => noteSigner(origin, row)),
  }
}

const firstOf = (chain: string): string => {
  const end = '-----END CERTIFICATE-----\n'
  return chain.slice(0, chain.indexOf(end) + end.length)
}
