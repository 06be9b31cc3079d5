/** Revoked certificates of a CA key, for its CRL. */
import type { Knex } from 'knex'
import { inOneSnapshot, pagesOf } from './cursor.ts'

/** Rows are never changed: a revoked certificate stays revoked, and its row is deleted some time after its end. */
export type RevokedCertificateRow = {
  /** Hex. */
  serialNumber: string
  at: Date
  until: Date
  /** Empty where none was stated. */
  reason: string
}

type Range = {
  keyId: string
  /** Rows of later revisions only; 0 for all. */
  after: number
  revision: number
  /** Rows of certificates that ended later. */
  endedAfter: Date
}

/** One column: several would take twice as long to read. None of them contains a space. No order, so that rows stream. */
const query = `
  select concat_ws(' ', value, floor(extract(epoch from at))::bigint, ceil(extract(epoch from until))::bigint, reason) as packed
    from block
   where kind = 'serialNumber' and key_id = ? and changed > ? and changed <= ? and until > ?`

/** Calls `onRow` with each row of the range, in any order. */
export async function readRevokedCertificates(
  knex: Knex,
  { keyId, after, revision, endedAfter }: Range,
  onRow: (row: RevokedCertificateRow) => void,
): Promise<void> {
  const bindings = [keyId, after, revision, endedAfter]
  await knex.transaction(async (tx) => {
    for await (const rows of pagesOf<{ packed: string }>(tx, query, bindings)) {
      for (const { packed } of rows) onRow(parse(packed))
    }
  }, inOneSnapshot)
}

function parse(text: string): RevokedCertificateRow {
  const [serialNumber = '', at, until, reason = ''] = text.split(' ')
  return { serialNumber, at: new Date(Number(at) * 1000), until: new Date(Number(until) * 1000), reason }
}
