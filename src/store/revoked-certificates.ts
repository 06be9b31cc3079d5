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

/** A million rows in a few hundred: a row for each would take seconds to read. No column contains a space or comma. */
const query = `
  select string_agg(concat_ws(' ', value, floor(extract(epoch from at))::bigint, ceil(extract(epoch from until))::bigint,
           coalesce(reason, '')), ',') as packed
    from block
   where kind = 'serialNumber' and key_id = ? and changed > ? and changed <= ? and until > ?
   group by hashtext(value) & 255`

/** Calls `onRow` with each row of the range, in any order. */
export async function readRevokedCertificates(
  knex: Knex,
  { keyId, after, revision, endedAfter }: Range,
  onRow: (row: RevokedCertificateRow) => void,
): Promise<void> {
  const bindings = [keyId, after, revision, endedAfter]
  await knex.transaction(async (tx) => {
    for await (const pages of pagesOf<{ packed: string }>(tx, query, { bindings, size: 1 })) {
      for (const { packed } of pages) for (const text of packed.split(',')) onRow(parse(text))
    }
  }, inOneSnapshot)
}

function parse(text: string): RevokedCertificateRow {
  const [serialNumber = '', at, until, reason = ''] = text.split(' ')
  return { serialNumber, at: new Date(Number(at) * 1000), until: new Date(Number(until) * 1000), reason }
}
