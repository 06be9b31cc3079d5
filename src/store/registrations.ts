/** Attestors and workload entries as operators write them. `changed` is stamped by the append, under the head lock. */
import type { Knex } from 'knex'
import type { AttestorRow, WorkloadRow } from './rows.ts'

export const insertAttestor = (tx: Knex.Transaction, row: AttestorRow): Promise<unknown> =>
  tx('attestor').insert({
    id: row.id,
    name: row.name,
    kind: row.kind,
    issuer: row.issuer ?? null,
    audience: row.audience ?? null,
    spiffe_id_prefix: row.spiffeIdPrefix,
    definition: JSON.stringify(row.definition),
    revision: row.revision,
  })

export const insertWorkload = (tx: Knex.Transaction, row: WorkloadRow): Promise<unknown> =>
  tx('workload').insert({
    id: row.id,
    name: row.name,
    attestor_id: row.attestorId,
    definition: JSON.stringify(row.definition),
    disabled: row.disabled,
    revision: row.revision,
  })
