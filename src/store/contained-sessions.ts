/** The sessions that a containment covers, as their rows show them. */
import { type Columns, membersOf } from './columns.ts'
import type { Subject } from './containments.ts'
import type { Knex } from './database.ts'
import type { StoredSession } from './sessions.ts'

type Covered = Pick<
  StoredSession,
  'id' | 'instance' | 'entryKeyed' | 'spiffeId' | 'workloadId' | 'attestorId' | 'selectors'
>

const columns = ['id', 'instance', 'entry_keyed', 'spiffe_id', 'workload_id', 'attestor_id', 'selectors']

/** Ended ones too, until they are swept. */
function covered(knex: Knex, subject: Subject): Knex.QueryBuilder {
  const sessions = knex('session')
  switch (subject.kind) {
    case 'spiffeId':
      return sessions.where({ spiffe_id: subject.spiffeId })
    case 'instance':
      return sessions.where({ instance: Buffer.from(subject.instance, 'hex') })
    case 'attestor':
      return sessions.where({ attestor_id: subject.attestorId })
    case 'selectors':
      // An array of JSON contains its members; a text contains itself.
      return Object.entries(subject.selectors).reduce(
        (query, [key, value]) => query.whereRaw('(selectors -> ?) @> to_jsonb(?::text)', [key, value]),
        sessions.where({ attestor_id: subject.attestorId }),
      )
    case 'apiTokens':
      return sessions.whereRaw('false')
  }
}

/** The ids of sessions that were valid after a time. */
export const coveredSessions = (knex: Knex, subject: Subject, since: Date | undefined): Promise<string[]> =>
  covered(knex, subject)
    .where('expires_at', '>=', since ?? new Date(0))
    .pluck('id')

const live = (sessions: Knex.QueryBuilder, now: Date) => sessions.where('expires_at', '>', now).whereNull('ended_at')

export async function liveCovered(knex: Knex, subject: Subject, now: Date, max: number): Promise<Covered[]> {
  const rows: Columns<Covered>[] = await live(covered(knex, subject), now).orderBy('id').limit(max).select(columns)
  return rows.map(membersOf<Covered>)
}

/** Those of the sessions that have not ended. */
export async function liveOnes(knex: Knex, ids: readonly string[], now: Date): Promise<Covered[]> {
  const rows: Columns<Covered>[] = await live(knex('session').whereRaw('id = any(?)', [[...ids]]), now)
    .orderBy('id')
    .select(columns)
  return rows.map(membersOf<Covered>)
}
