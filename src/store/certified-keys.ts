/** Which public keys were certified, and for whom, from the log. */
import type { Knex } from './database.ts'
import { termKeys } from './term-keys.ts'

/** One certificate of a key. */
export type KeyUse = {
  /** SHA-256 of the SPKI, hex. */
  key: string
  workloadId: string
  workload: string
  session: string
  serialNumber: string
  notAfter: Date
}

type Row = { [K in keyof KeyUse]: string | null }

const fields = `
  body::json #>> '{issued,x509,publicKeySha256}' as key, body::json #>> '{actor,workloadId}' as "workloadId",
  body::json #>> '{actor,workload}' as workload, body::json #>> '{actor,session}' as session,
  body::json #>> '{issued,x509,serialNumber}' as "serialNumber", body::json #>> '{issued,x509,notAfter}' as "notAfter"`

function toUse({ key, workloadId, workload, session, serialNumber, notAfter }: Row): KeyUse[] {
  if (key === null || workloadId === null || notAfter === null) return []
  return [
    {
      key,
      workloadId,
      workload: workload ?? '',
      session: session ?? '',
      serialNumber: serialNumber ?? '',
      notAfter: new Date(notAfter),
    },
  ]
}

/** What entries [from, from + most) certified for workloads, and where those entries end. */
export async function certifiedKeys(
  knex: Knex,
  epoch: number,
  from: number,
  max: number,
): Promise<{ uses: KeyUse[]; next: number }> {
  const { rows } = await knex.raw<{ rows: (Row & { idx: string })[] }>(
    // A range rather than a limit: without statistics the planner reads and sorts all that is left.
    `select idx, ${fields} from log_entry where epoch = ? and idx >= ? and idx < ? order by idx`,
    [epoch, from, from + max],
  )
  const last = rows.at(-1)
  return { uses: rows.flatMap(toUse), next: last ? Number(last.idx) + 1 : from }
}

/** Certificates of one key that are looked at: a copy of it shows at its first use, however often its owner renewed. */
const maxUses = 200

/**
 * Certificates of these keys that were issued at a time or later, by the index of the log's terms: for many keys at once
 * the planner would rather compare every entry with all of them.
 */
export async function usesOfKeys(tx: Knex.Transaction, keys: readonly string[], since: Date): Promise<KeyUse[]> {
  if (keys.length === 0) return []
  await tx.raw('set local enable_seqscan = off')
  const { rows } = await tx.raw<{ rows: Row[] }>(
    `select ${fields} from unnest(?::bigint[]) as term cross join lateral
       (select body from log_entry where terms @> array[term] and at >= ? and body is not null limit ?) as found`,
    [termKeys(keys.map((key) => `sha256=${key}`)), since, maxUses],
  )
  const wanted = new Set(keys)
  return rows.flatMap(toUse).filter((use) => wanted.has(use.key))
}

/** The workloads that each earlier alert of a key names (action `key.shared`). */
export async function sharedKeyAlerts(knex: Knex, key: string): Promise<string[][]> {
  const { rows } = await knex.raw<{ rows: { workloads: string[] | null }[] }>(
    `with found as materialized (select body from log_entry where terms @> ?::bigint[] and body is not null)
     select body::json #> '{detail,workloads}' as workloads from found where body::json #>> '{resource,id}' = ?`,
    [termKeys(['action=key.shared', `resource=public-key/${key}`]), key],
  )
  return rows.map((row) => row.workloads ?? [])
}
