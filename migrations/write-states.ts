/**
 * What a writer must know of each path: its live secret, `last` (the highest version that any secret of the path had),
 * `rotating`, and the versions that have a value, without staged ones, newest first. Paths are sent as their SHA-256.
 *
 * A function, since its plan stays with the connection: planning takes longer than the query. The settings, the scalar
 * subqueries and the limit of the lateral one make the planner use the keys, also without statistics (log-append.ts). The
 * limit of the versions is more than any secret keeps.
 */
export const secretWriteStates = `
create function secret_write_states(p_hashes bytea[])
  returns table (n bigint, id text, path text, version int, revision int, description text, labels jsonb, max_versions int,
    managed_by text, rotator text, created_at timestamptz, updated_at timestamptz, last int, rotating boolean, versions int[])
  language plpgsql stable
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
  return query
  select p.n, s.id, s.path, s.version, s.revision, s.description, s.labels, s.max_versions, s.managed_by, s.rotator,
         s.created_at, s.updated_at,
         case when s.id is not null then (select max(v.version) from secret_version v where v.secret_id = s.id)
              else (select max(greatest(r.version, (select max(v.version) from secret_version v where v.secret_id = r.id)))
                      from secret r where sha256(decode(r.path, 'escape')) = p.hash and r.deleted_at is not null) end,
         coalesce((select true from rotation o where o.secret_id = s.id and o.ended_at is null), false),
         array(select v.version from secret_version v
                where v.secret_id = s.id and not v.staged and coalesce(v.destroyed_at, 'infinity') = 'infinity'
                order by v.secret_id, v.version desc limit 1000)
    from unnest(p_hashes) with ordinality as p (hash, n)
    left join lateral (
      select * from secret where sha256(decode(path, 'escape')) = p.hash and deleted_at is null limit 1) s on true;
end $$`
