/** Inserts leases by the hundred thousand directly into the tables, as a large installation has them after a while. */
import type { Knex } from '../../src/store/database.ts'

/**
 * Leases of the database `orders` and the workload `shop`, each with its own session.
 * @param withDue a third of them is due: expired, of ended sessions, or never issued
 */
export async function fillLeases(knex: Knex, { many, withDue }: { many: number; withDue: boolean }): Promise<void> {
  // A statement of the server's own connections may take six seconds.
  for (let from = 0; from < many; from += 10_000) await fill(knex, from + 1, Math.min(many, from + 10_000), withDue)
  await knex.raw('analyze session, lease')
}

async function fill(knex: Knex, from: number, to: number, withDue: boolean): Promise<void> {
  const prefix = withDue ? 'b' : 'a'
  const third = withDue ? 'n % 3 = 0' : 'false'
  await knex.raw(
    `insert into session (id, instance, generation, workload_id, attestor_id, spiffe_id, selectors, started_at, expires_at, ended_at, end_reason)
     select 'ses_' || ? || lpad(to_hex(n), 31, '0'), decode(lpad(to_hex(n), 64, ?), 'hex'), 1, w.id, a.id,
            'spiffe://example.org/lab/shop/shop', '{"oidc:sub": "shop"}', now() - interval '10 minutes', now() + interval '2 hours',
            case when ${third} and n % 9 = 3 then now() - interval '1 minute' end, case when ${third} and n % 9 = 3 then 'test' end
       from generate_series(?::int, ?::int) n, workload w, attestor a where w.name = 'shop' and a.name = 'lab'`,
    [prefix, prefix, from, to],
  )
  await knex.raw(
    `insert into lease (id, database_id, session_id, workload_id, spiffe_id, username, state, created_at, expires_at, max_expires_at)
     select 'ls_' || md5(? || n), d.id, s.id, s.workload_id, s.spiffe_id, 'purser_00000000_' || md5(? || n),
            case when ${third} and n % 9 = 6 then 'intended' else 'active' end, now() - interval '10 minutes',
            case when ${third} and n % 9 = 0 then now() - interval '1 second' else now() + interval '1 hour' end,
            now() + interval '2 hours'
       from generate_series(?::int, ?::int) n
       join database d on d.name = 'orders' join session s on s.id = 'ses_' || ? || lpad(to_hex(n), 31, '0')`,
    [prefix, prefix, from, to, prefix],
  )
}
