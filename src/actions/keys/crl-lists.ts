/** The revoked certificates of CA keys, encoded. A process reads them at the first request for a CRL, and then what is new. */
import { X509Certificate } from 'node:crypto'
import { CrlList } from '../../issue/crl-list.ts'
import type { RevokedCertificate } from '../../issue/crl-entries.ts'
import type { Database } from '../../store/database.ts'
import { type RevokedCertificateRow, readRevokedCertificates } from '../../store/revoked-certificates.ts'
import type { KeyRow } from '../../store/rows.ts'
import { sharedRead } from '../../store/shared-read.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/** A list with every revocation up to the revision, and none of a later one. */
type ListState = { list: CrlList; revision: number }

/**
 * Brings a list up to the revision of a snapshot, at least.
 * @param endedAfter leaves out certificates that ended before
 */
export type ReadList = (snapshot: Snapshot, endedAfter: Date) => Promise<ListState>

const reasons: Readonly<Record<string, NonNullable<RevokedCertificate['reason']>>> = {
  keyCompromise: 'keyCompromise',
  affiliationChanged: 'affiliationChanged',
  superseded: 'superseded',
  cessationOfOperation: 'cessationOfOperation',
  privilegeWithdrawn: 'privilegeWithdrawn',
}

function revokedOf({ serialNumber, at, reason }: RevokedCertificateRow): RevokedCertificate {
  const crlReason = reasons[reason]
  return { serial: Buffer.from(serialNumber, 'hex'), at, ...(crlReason && { reason: crlReason }) }
}

/** Leaves: rows of the database. */
export function createLeafList({ knex }: Pick<Database, 'knex'>, keyId: string): ReadList {
  const state = { list: new CrlList(), revision: 0 }
  let target = { revision: 0, endedAfter: new Date(0) }
  const update = sharedRead(async () => {
    const { revision, endedAfter } = target
    if (state.revision >= revision) return
    // Read apart and added at once: a list never shows a part of a revision, and a failed read can be repeated.
    const more = new CrlList()
    await readRevokedCertificates(knex, { keyId, after: state.revision, revision, endedAfter }, (row) =>
      more.add(revokedOf(row), row.until),
    )
    if (state.revision === 0) state.list = more
    else state.list.append(more)
    state.revision = revision
  })
  return async ({ revision }, endedAfter) => {
    if (revision > target.revision) target = { revision, endedAfter }
    if (state.revision < revision) await update()
    return state
  }
}

const serialOf = (row: KeyRow): Buffer =>
  Buffer.from(new X509Certificate(row.chain ?? '').serialNumber.padStart(32, '0'), 'hex')

/** Withdrawn issuing keys under a root: a few rows of the snapshot. */
export const createIssuerList =
  (rootId: string): ReadList =>
  async ({ keys, revision }) => {
    const list = new CrlList()
    for (const row of keys.values()) {
      if (row.issuerKeyId !== rootId || !row.withdrawnAt) continue
      list.add({ serial: serialOf(row), at: row.withdrawnAt, reason: 'cACompromise' }, row.goneAt)
    }
    return { list, revision }
  }
