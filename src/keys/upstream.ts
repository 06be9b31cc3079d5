/**
 * A chain that an upstream CA issued for a key of ours. The bundle then holds the one self-signed root at which that chain
 * ends, until the last chain under it is expired; our own root leaves with the last issuing key under it.
 */
import { X509Certificate } from 'node:crypto'
import type { KeyRow } from '../store/rows.ts'
import type { NameConstraints } from './extensions.ts'
import { checkImportedChain } from './imported-chain.ts'
import { isRequested, isUpstream, publicKeyOf } from './keys.ts'
import { type Lifetimes, after } from './lifetimes.ts'
import { PemError, decodePemBlocks, encodePem } from './pem.ts'
import { type KeyChanges, RotationError, endRoot, retire } from './rotate.ts'

export type ImportParts = {
  /** PEM: our issuing certificate, then what leads up to the root. */
  certificateChain: string
  /** PEM: the root. */
  trustBundle: string
  trustDomain: string
  /** Those of the request, which the certificate must have. */
  nameConstraints?: NameConstraints | undefined
  lifetimes: Lifetimes
  now: Date
  randomBytes: (size: number) => Buffer
}

const algorithms: Readonly<Record<string, string>> = { ec: 'ECDSA', rsa: 'RSA', ed25519: 'EdDSA' }

/**
 * The imported key is no change of its own: it existed, and now has a certificate.
 * @throws RotationError, ImportedChainError
 */
export function importChain(rows: readonly KeyRow[], parts: ImportParts): KeyChanges & { imported: KeyRow } {
  const { trustDomain, lifetimes, now } = parts
  const chain = withRoot(blocks(parts.certificateChain), blocks(parts.trustBundle))
  const requested = requestedFor(rows, chain[0], now)
  const checked = checkImportedChain({
    pem: chain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    publicKey: publicKeyOf(requested),
    trustDomain,
    nameConstraints: parts.nameConstraints,
    now,
  })

  const live = rows.filter((row) => !row.withdrawnAt && row.goneAt > now && !isRequested(row))
  const knownRoot = live.find((row) => isUpstream(row) && row.chain === checked.root)
  const issuing = live.filter((row) => row.kind === 'issuing-ca')
  const activeAt = firstUse(knownRoot, issuing, lifetimes, now)
  if (checked.notAfter <= after(activeAt, lifetimes.max.x509)) {
    throw new RotationError('the chain ends before the longest certificate under it would')
  }
  const imported: KeyRow = {
    ...requested,
    chain: checked.chain,
    activeAt,
    retireAt: after(checked.notAfter, -lifetimes.max.x509),
    goneAt: checked.notAfter,
  }
  const times = { createdAt: now, activeAt: now, retireAt: imported.goneAt, goneAt: imported.goneAt }
  const created = knownRoot ? [] : [upstreamRoot(checked.root, requested, times, parts.randomBytes)]
  const retired = issuing.flatMap((row) => retire(row, activeAt, now))
  const ended = issuing.map((row) => retired.find((key) => key.id === row.id) ?? row)
  const roots = live
    .filter((row) => row.kind === 'root-ca' && !isUpstream(row) && row.retireAt > activeAt)
    .map((row) => endRoot(row, ended, activeAt))
  const longer =
    knownRoot && knownRoot.goneAt < imported.goneAt ? [{ ...knownRoot, ...times, createdAt: knownRoot.createdAt }] : []
  return { imported, created, retired: [...retired, ...roots, ...longer], withdrawn: [] }
}

/** @throws RotationError for a certificate that was not requested */
function requestedFor(rows: readonly KeyRow[], first: Buffer | undefined, now: Date): KeyRow {
  const spki = first && certificateOf(first).publicKey.export({ type: 'spki', format: 'der' })
  const requestedRow = rows.find((row) => isRequested(row) && row.goneAt > now && spki?.equals(row.publicKey))
  if (!requestedRow) throw new RotationError('the first certificate is not for a key that waits for one (ca:csr)')
  return requestedRow
}

function blocks(pem: string): Buffer[] {
  try {
    return decodePemBlocks(pem, ['CERTIFICATE'], 8)
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    throw new RotationError(`not certificates in PEM: ${error.message}`)
  }
}

function certificateOf(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch {
    throw new RotationError('a certificate cannot be read')
  }
}

/** One root and no other: every further one in the bundle could sign for our trust domain. The chain may hold it already. */
function withRoot(chain: Buffer[], bundle: Buffer[]): Buffer[] {
  const [root, ...more] = bundle
  if (!root || more.length > 0) throw new RotationError('the trust bundle must hold the root of the chain, and only it')
  return chain.at(-1)?.equals(root) ? chain : [...chain, root]
}

/** Waits for the bundle to reach everybody, unless its root is there already, or nothing signs meanwhile. */
function firstUse(knownRoot: KeyRow | undefined, issuing: readonly KeyRow[], lifetimes: Lifetimes, now: Date): Date {
  if (!issuing.some((row) => row.activeAt <= now)) return now
  const published = after(knownRoot?.createdAt ?? now, lifetimes.publish)
  return published > now ? published : now
}

/** Its row holds no key: `wrapped` is empty. The id is new each time, since a root may come back after it left. */
function upstreamRoot(
  pem: string,
  { wrappingKeyId }: KeyRow,
  times: Pick<KeyRow, 'createdAt' | 'activeAt' | 'retireAt' | 'goneAt'>,
  randomBytes: (size: number) => Buffer,
): KeyRow {
  const { publicKey } = new X509Certificate(pem)
  return {
    id: `upstream-${randomBytes(16).toString('hex')}`,
    kind: 'root-ca',
    algorithm: algorithms[publicKey.asymmetricKeyType ?? ''] ?? 'unknown',
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    wrapped: Buffer.alloc(0),
    wrappingKeyId,
    chain: pem,
    ...times,
  }
}
