/** What others are to trust: the roots and JWT keys of the trust domain, as bundle and key set publish them. */
import { X509Certificate } from 'node:crypto'
import type { KeyKind, KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isUpstream, publishedKeys } from './keys.ts'

type KeySnapshot = Pick<Snapshot, 'keys'>

const inBundle: ReadonlySet<KeyKind> = new Set(['root-ca', 'jwt-es256', 'jwt-rs256'])

/**
 * The bundle's sequence number: how often a key has entered or left it. It follows from the rows and the clock alone, so
 * that all replicas say the same, and it moves when and only when the contents do: also when a key goes by its time,
 * which changes no row.
 */
export function bundleSequence(snapshot: KeySnapshot, now: Date): number {
  const rows = [...snapshot.keys.values()].filter((row) => inBundle.has(row.kind) && row.createdAt <= now)
  return rows.length + rows.filter((row) => row.withdrawnAt !== undefined || row.goneAt <= now).length
}

/** The PEM roots that clients and peers are to trust now. */
export const trustedRoots = (snapshot: KeySnapshot, now: Date): string =>
  publishedKeys(snapshot, 'root-ca', now)
    .map((row) => row.chain ?? '')
    .join('')

/** The root at which an issuing key's chain ends, PEM; nothing where it is no longer published. */
export function rootOver(snapshot: KeySnapshot, issuing: KeyRow, now: Date): string | undefined {
  const roots = publishedKeys(snapshot, 'root-ca', now)
  if (issuing.issuerKeyId !== undefined) return roots.find((row) => row.id === issuing.issuerKeyId)?.chain
  const last = new X509Certificate(lastOf(issuing.chain ?? ''))
  return roots.find((row) => isUpstream(row) && last.checkIssued(new X509Certificate(row.chain ?? '')))?.chain
}

const lastOf = (chain: string): string => chain.slice(chain.lastIndexOf('-----BEGIN CERTIFICATE-----'))
