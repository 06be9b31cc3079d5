/** Rotation policies of secrets, at most one for each secret. */
import { type Columns, membersOf } from './columns.ts'
import type { Knex } from './database.ts'

type Tx = Knex.Transaction

export type RotationPolicyRow = {
  secretId: string
  /** As the operator wrote it. The request that stored it has validated it. */
  definition: Record<string, unknown>
  revision: number
  nextAt?: Date
}

type PolicyRecord = Columns<RotationPolicyRow>

const toPolicy = (row: PolicyRecord): RotationPolicyRow => membersOf(row)

export async function readPolicy(knex: Knex, secretId: string): Promise<RotationPolicyRow | undefined> {
  const row: PolicyRecord | undefined = await knex('rotation_policy').where({ secret_id: secretId }).first()
  return row && toPolicy(row)
}

export const writePolicy = (tx: Tx, row: RotationPolicyRow, now: Date): Promise<unknown> =>
  tx('rotation_policy')
    .insert({
      secret_id: row.secretId,
      definition: JSON.stringify(row.definition),
      revision: row.revision,
      next_at: row.nextAt ?? null,
      updated_at: now,
    })
    .onConflict('secret_id')
    .merge()

/** Sets the next time of a policy. Returns false when the policy was no longer due at `from`: another replica was faster. */
export async function advancePolicy(tx: Tx, secretId: string, from: Date, to: Date | undefined): Promise<boolean> {
  const count = await tx('rotation_policy')
    .where({ secret_id: secretId, next_at: from })
    .update({ next_at: to ?? null })
  return count === 1
}

export const removePolicy = (tx: Tx, secretId: string): Promise<number> =>
  tx('rotation_policy').where({ secret_id: secretId }).delete()

export type DuePolicy = RotationPolicyRow & { nextAt: Date; path: string; runs: boolean; deleted: boolean }

/** Due policies, oldest first. `runs`: a rotation of the secret is running. `deleted`: its current version was deleted. */
export async function duePolicies(knex: Knex, now: Date, max: number): Promise<DuePolicy[]> {
  const rows: Columns<DuePolicy>[] = await knex('rotation_policy as p')
    .join('secret as s', 's.id', 'p.secret_id')
    .join('secret_version as v', (on) => void on.on('v.secret_id', 's.id').andOn('v.version', 's.version'))
    .whereNull('s.deleted_at')
    .where('p.next_at', '<=', now)
    .orderBy('p.next_at')
    .limit(max)
    .select(
      'p.*',
      's.path',
      knex.raw('v.deleted_at is not null as deleted'),
      knex.raw('exists (select 1 from rotation r where r.secret_id = p.secret_id and r.ended_at is null) as runs'),
    )
  return rows.map(membersOf<DuePolicy>)
}

/** The number of policies whose rotation should have begun before a time. */
export async function countOverdue(knex: Knex, before: Date): Promise<number> {
  const rows: { count: string }[] = await knex('rotation_policy as p')
    .join('secret as s', 's.id', 'p.secret_id')
    .whereNull('s.deleted_at')
    .where('p.next_at', '<=', before)
    .count('* as count')
  return Number(rows[0]?.count ?? 0)
}

export type ListedPolicy = RotationPolicyRow & { path: string }

/** The next policies after a path, of secrets whose paths begin so, of one manager where it is named. */
export type PolicyPage = { prefix: string; managedBy: string | undefined; after: string | undefined; max: number }

/** Policies in the order of their paths, by bytes. */
export async function listPolicies(
  knex: Knex,
  { prefix, managedBy, after = '', max }: PolicyPage,
): Promise<ListedPolicy[]> {
  const rows: Columns<ListedPolicy>[] = await knex('rotation_policy as p')
    .join('secret as s', 's.id', 'p.secret_id')
    .whereNull('s.deleted_at')
    .whereRaw('s.path ~>~ ?', [after])
    .whereRaw('starts_with(s.path, ?)', [prefix])
    .modify((query) => {
      if (managedBy !== undefined) void query.whereRaw(`p.definition ->> 'managedBy' = ?`, [managedBy])
    })
    .orderByRaw('s.path using ~<~')
    .limit(max)
    .select('p.*', 's.path')
  return rows.map(membersOf<ListedPolicy>)
}

/** The policies of other secrets with this kind of rotator. */
export async function otherPolicies(knex: Knex, kind: string, secretId?: string): Promise<ListedPolicy[]> {
  const rows: Columns<ListedPolicy>[] = await knex('rotation_policy as p')
    .join('secret as s', 's.id', 'p.secret_id')
    .whereNull('s.deleted_at')
    .whereNot('p.secret_id', secretId ?? '')
    .whereRaw(`p.definition -> 'rotator' ->> 'kind' = ?`, [kind])
    .select('p.*', 's.path')
  return rows.map(membersOf<ListedPolicy>)
}

/** Whether a rotation policy sets its values in the database of this name. */
export async function isRotatedIn(knex: Knex, name: string): Promise<boolean> {
  const { rows } = await knex.raw<{ rows: object[] }>(
    `select 1 from rotation_policy where definition -> 'rotator' ->> 'database' = ? limit 1`,
    [name],
  )
  return rows.length > 0
}
