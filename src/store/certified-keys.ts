/** The public keys that were certified and for which workloads, from the log. */
import type { Knex } from './database.ts'
import { termKeys } from './term-keys.ts'

/** A certificate of a public key. */
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

/** The certificates that entries [from, from + max) issued to workloads, and the index after the last entry. */
export async function certifiedKeys(
  knex: Knex,
  epoch: number,
  from: number,
  max: number,
): Promise<{ uses: KeyUse[]; next: number }> {
  const { rows } = await knex.raw<{ rows: (Row & { idx: string })[] }>(
    // A range rather than a limit: without statistics the planner would read and sort all later entries.
    `select idx, ${fields} from log_entry where epoch = ? and idx >= ? and idx < ? order by idx`,
    [epoch, from, from + max],
  )
  const last = rows.at(-1)
  return { uses: rows.flatMap(toUse), next: last ? Number(last.idx) + 1 : from }
}

/** The number of certificates that are checked for a key: a copied key shows at its first use, however often its owner renewed. */
const maxUses = 200

/**
 * Certificates of these keys that were issued at `since` or later. Forces the index on the log's terms: for many keys at
 * once the planner would compare every entry with all of them.
 */
export async function usesOfKeys(tx: Knex.Transaction, keys: readonly string[], since: Date): Promise<KeyUse[]> {
  if (keys.length === 0) return []
  await tx.raw('set local enable_seqscan = off')
  const { rows } = await tx.raw<{ rows: Row[] }>(
    `select ${fields} from unnest(?::bigint[]) as term cross join lateral
       (select body from log_entry where terms @> array[term] and at >= ? and body is not null limit ?) as matching`,
    [termKeys(keys.map((key) => `sha256=${key}`)), since, maxUses],
  )
  const requested = new Set(keys)
  return rows.flatMap(toUse).filter((use) => requested.has(use.key))
}

/** The workloads that each earlier alert about a key names (action `key.shared`). */
export async function sharedKeyAlerts(knex: Knex, key: string): Promise<string[][]> {
  const { rows } = await knex.raw<{ rows: { workloads: string[] | null }[] }>(
    `with matching as materialized (select body from log_entry where terms @> ?::bigint[] and body is not null)
     select body::json #> '{detail,workloads}' as workloads from matching where body::json #>> '{resource,id}' = ?`,
    [termKeys(['action=key.shared', `resource=public-key/${key}`]), key],
  )
  return rows.map((row) => row.workloads ?? [])
}
