/** CRLs (RFC 5280 section 5): what one of our CA keys signed and was revoked, until its last certificate is expired. */
import { X509Certificate } from 'node:crypto'
import { refuse } from '../../errors.ts'
import { type CrlParts as BuiltCrl, buildCrl } from '../../issue/crl.ts'
import { type Keys, isRequested, isUpstream } from '../../keys/keys.ts'
import { revokedCertificates } from '../../store/blocks.ts'
import type { Database } from '../../store/database.ts'
import type { KeyRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

export type CrlParts = {
  db: Pick<Database, 'knex'>
  keys: Pick<Keys, 'ca'>
  /** Seconds for which readers may keep keys and bundle; a CRL is built anew as often. */
  refresh: number
}

type Revoked = BuiltCrl['revoked'][number]
type CachedCrl = { revision: number; builtAt: number; der: Buffer }

/** Clocks of verifiers may be behind. */
const backdateMs = 60_000
/** A verifier that reads once per `refresh` never holds an expired CRL, also where the server is down for as long again. */
const periods = 3
const minLifetimeMs = 300_000

const serialOf = (row: KeyRow): Buffer =>
  Buffer.from(new X509Certificate(row.chain ?? '').serialNumber.padStart(32, '0'), 'hex')

const reasons: Readonly<Record<string, NonNullable<Revoked['reason']>>> = {
  keyCompromise: 'keyCompromise',
  affiliationChanged: 'affiliationChanged',
  superseded: 'superseded',
  cessationOfOperation: 'cessationOfOperation',
  privilegeWithdrawn: 'privilegeWithdrawn',
}

/** A withdrawn key signs no CRL that a verifier should believe. Its own revocation is in the CRL of the key above it. */
const signsCrls = (row: KeyRow, at: Date): boolean =>
  (row.kind === 'issuing-ca' || row.kind === 'root-ca') &&
  !isRequested(row) &&
  !isUpstream(row) &&
  !row.withdrawnAt &&
  row.goneAt > at

/** @returns the present CRL of a CA key as DER. @throws Refusal `not_found` */
export function createCrls({
  db,
  keys,
  refresh,
}: CrlParts): (snapshot: Snapshot, keyId: string, at: Date) => Promise<Buffer> {
  const cache = new Map<string, CachedCrl>()
  const lifetimeMs = Math.max(periods * refresh * 1000, minLifetimeMs)

  /** An entry stays for one CRL that is built after its certificate ended (section 3.3). */
  const isListed = (until: Date, at: Date): boolean => until.getTime() + lifetimeMs > at.getTime()

  async function revokedLeaves({ revision }: Snapshot, key: KeyRow, at: Date): Promise<Revoked[]> {
    const listedUntil = new Date(at.getTime() - lifetimeMs)
    const rows = await revokedCertificates(db.knex, { keyId: key.id, revision, listedUntil })
    return rows.map((row) => {
      const reason = reasons[row.reason ?? '']
      return { serial: Buffer.from(row.serialNumber, 'hex'), at: row.at, ...(reason && { reason }) }
    })
  }

  const revokedIssuers = ({ keys: rows }: Snapshot, root: KeyRow, at: Date): Revoked[] =>
    [...rows.values()].flatMap((row) =>
      row.issuerKeyId === root.id && row.withdrawnAt && isListed(row.goneAt, at)
        ? [{ serial: serialOf(row), at: row.withdrawnAt, reason: 'cACompromise' as const }]
        : [],
    )

  async function build(snapshot: Snapshot, row: KeyRow, at: Date): Promise<CachedCrl> {
    const seconds = Math.floor(at.getTime() / 1000)
    const { der } = buildCrl({
      issuer: keys.ca(row).issuer,
      // Section 5.2.3: two CRLs of different times never share a number. The revision comes first, so that the CRL of a
      // replica that is behind does not look newer.
      number: (BigInt(snapshot.revision) << 40n) | BigInt(seconds),
      thisUpdate: new Date(at.getTime() - backdateMs),
      nextUpdate: new Date(at.getTime() + lifetimeMs),
      revoked: row.kind === 'root-ca' ? revokedIssuers(snapshot, row, at) : await revokedLeaves(snapshot, row, at),
    })
    return { revision: snapshot.revision, builtAt: at.getTime(), der }
  }

  return async (snapshot, keyId, at) => {
    const row = snapshot.keys.get(keyId)
    if (!row || !signsCrls(row, at)) throw refuse('not_found')
    let crl = cache.get(row.id)
    if (crl?.revision !== snapshot.revision || Math.abs(at.getTime() - crl.builtAt) > refresh * 1000) {
      crl = await build(snapshot, row, at)
      cache.set(row.id, crl)
    }
    return crl.der
  }
}
