/** CRLs (RFC 5280 section 5): what one CA key of ours signed and was revoked, until its last certificate is expired. */
import { X509Certificate } from 'node:crypto'
import { refuse } from '../errors.ts'
import { type CrlParts, buildCrl } from '../issue/crl.ts'
import type { Keys } from '../keys/keys.ts'
import { isRequested, isUpstream } from '../keys/keys.ts'
import type { BlockRow, KeyRow } from '../store/rows.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import { publicHeaders } from './public.ts'
import type { Read } from './route.ts'
import { freshSnapshot } from './freshness.ts'

export type CrlRouteParts = {
  keys: Pick<Keys, 'ca'>
  /** Seconds that readers may keep keys and bundle; a CRL is made anew as often. */
  refresh: number
  now: () => Date
  snapshots: Pick<Snapshots, 'current' | 'age' | 'refresh'>
}

type Revoked = CrlParts['revoked'][number]
type Kept = { revision: number; madeAt: number; der: Buffer }

/** Clocks of verifiers run behind. */
const backdateMs = 60_000
/** A verifier that asks once in `refresh` seconds never holds one that has ended, also when we are down for as long again. */
const periods = 3
const shortestMs = 300_000

const serialOf = (row: KeyRow): Buffer =>
  Buffer.from(new X509Certificate(row.chain ?? '').serialNumber.padStart(32, '0'), 'hex')

const reasons: Readonly<Record<string, NonNullable<Revoked['reason']>>> = {
  keyCompromise: 'keyCompromise',
  affiliationChanged: 'affiliationChanged',
  superseded: 'superseded',
  cessationOfOperation: 'cessationOfOperation',
  privilegeWithdrawn: 'privilegeWithdrawn',
}

export function createCrlRoute({ keys, refresh, now, snapshots }: CrlRouteParts): Read {
  const kept = new Map<string, Kept>()
  const lifeMs = (): number => Math.max(periods * refresh * 1000, shortestMs)

  /** An entry stays for one CRL that was made after its certificate ended (section 3.3). */
  const isListed = (until: Date, at: Date): boolean => until.getTime() + lifeMs() > at.getTime()

  function leaves({ blocks }: Snapshot, key: KeyRow, at: Date): Revoked[] {
    const ours = (block: BlockRow): boolean => block.kind === 'serialNumber' && block.keyId === key.id
    return [...blocks.values()]
      .filter((block) => ours(block) && isListed(block.until, at))
      .map((block) => {
        const reason = reasons[block.reason ?? '']
        return { serial: Buffer.from(block.value, 'hex'), at: block.at, ...(reason && { reason }) }
      })
  }

  const issuingKeys = ({ keys: rows }: Snapshot, root: KeyRow, at: Date): Revoked[] =>
    [...rows.values()].flatMap((row) =>
      row.issuerKeyId === root.id && row.withdrawnAt && isListed(row.goneAt, at)
        ? [{ serial: serialOf(row), at: row.withdrawnAt, reason: 'cACompromise' as const }]
        : [],
    )

  function make(snapshot: Snapshot, row: KeyRow, at: Date): Kept {
    const seconds = Math.floor(at.getTime() / 1000)
    const { der } = buildCrl({
      issuer: keys.ca(row).issuer,
      // Section 5.2.3: two CRLs of different times never share a number. The revision first, so that a replica that is
      // behind doesn't look newer.
      number: (BigInt(snapshot.revision) << 40n) | BigInt(seconds),
      thisUpdate: new Date(at.getTime() - backdateMs),
      nextUpdate: new Date(at.getTime() + lifeMs()),
      revoked: row.kind === 'root-ca' ? issuingKeys(snapshot, row, at) : leaves(snapshot, row, at),
    })
    return { revision: snapshot.revision, madeAt: at.getTime(), der }
  }

  return async ({ params }) => {
    const snapshot = await freshSnapshot(snapshots)
    const at = now()
    const row = snapshot.keys.get(params.keyId ?? '')
    const isCa = row && (row.kind === 'issuing-ca' || row.kind === 'root-ca') && !isRequested(row) && !isUpstream(row)
    // A withdrawn key says nothing that anybody should believe: its own end is in the CRL of the key above.
    if (!isCa || row.withdrawnAt || row.goneAt <= at) throw refuse('not_found')
    let made = kept.get(row.id)
    if (made?.revision !== snapshot.revision || Math.abs(at.getTime() - made.madeAt) > refresh * 1000) {
      made = make(snapshot, row, at)
      kept.set(row.id, made)
    }
    return {
      headers: publicHeaders(Math.min(refresh, 60)),
      body: { bytes: made.der, type: 'application/pkix-crl' },
    }
  }
}
