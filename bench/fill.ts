/** Fills the tables of a registered server with what a large installation has: entries, secrets, revoked certificates. */
import { Client } from 'pg'

export type Size = { entries: number; secrets: number; revoked: number }

const chunk = 50_000

/** Inserts in statements of 50,000 rows, so that each ends in a few seconds. */
async function inChunks(client: Client, many: number, sql: string): Promise<void> {
  for (let from = 1; from <= many; from += chunk) await client.query(sql, [from, Math.min(from + chunk - 1, many)])
}

/**
 * The entries belong to the attestor of the bench, and none of them matches its workload. The secrets have sealed values
 * that are never read. The certificates were issued by the present key and end in an hour.
 */
export async function fillTables(url: string, { entries, secrets, revoked }: Size): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await inChunks(
      client,
      entries,
      `insert into workload (id, name, attestor_id, definition, revision, changed)
       select 'wl_' || md5('e' || n), 'filled-' || n, a.id, jsonb_build_object('name', 'filled-' || n, 'attestor', a.name,
                'match', jsonb_build_object('oidc:ns', 'team-' || n % 1000, 'oidc:sub', 'app-' || n),
                'spiffeId', 'spiffe://bench.example/bench/app-' || n,
                'grants', jsonb_build_object('x509', '{}'::jsonb)), 1, 1
         from generate_series($1::int, $2::int) n, attestor a where a.name = 'bench'`,
    )
    await inChunks(
      client,
      secrets,
      `with filled as (
         insert into secret (id, path, version, revision, max_versions, created_at, updated_at, changed)
         select 'sec_' || md5('s' || n), 'filled/app-' || n || '/db', 1, 1, 10, now(), now(), 1
           from generate_series($1::int, $2::int) n returning id)
       insert into secret_version (secret_id, version, wrapping_key_id, data_key, ciphertext, source, created_by, created_at)
       select filled.id, 1, k.id, decode(md5(filled.id), 'hex'), sha512(convert_to(filled.id, 'UTF8')), 'put', 'operator:bench', now()
         from filled, (select id from keyring_key limit 1) k`,
    )
    await inChunks(
      client,
      revoked,
      `insert into block (id, kind, value, key_id, reason, at, until, revocation, changed)
       select 'blk_' || md5('b' || n), 'serialNumber', md5('b' || n), k.id, 'superseded', now(), now() + interval '1 hour', 'rev_bench', 1
         from generate_series($1::int, $2::int) n,
              (select id from signing_key where kind = 'issuing-ca' order by active_at desc limit 1) k`,
    )
    // Otherwise autovacuum works on the new rows during the measurements.
    await client.query('vacuum (analyze)')
  } finally {
    await client.end()
  }
}
