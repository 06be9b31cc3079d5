/**
 * The part of `log_append` (log-append.ts) that writes versions of secrets, under the head lock. No two writes of a batch
 * have the same path.
 *
 * A write is left out when the secret has another revision, a rotation of it runs, or its version exists. It is also left
 * out while another transaction holds the lock of the secret's row: that transaction waits for the head lock.
 */

const isAppended = `not jsonb_exists(verdicts, w.n::text)`

const hashOf = (path: string): string => `sha256(decode(${path}, 'escape'))`

/**
 * `created` are writes of new secrets, `replaced` those of existing ones. Each condition is a scalar subquery: the planner
 * would answer `exists` from a hash of the whole table.
 */
export const checkWrites = `
    select array_agg(w) filter (where w.expected = 0), array_agg(w) filter (where w.expected > 0) into created, replaced
      from json_populate_recordset(null::append_write, p_writes) as w;

    if created is not null then
      select verdicts || coalesce(jsonb_object_agg(w.n, 'moved'), '{}') into verdicts
        from unnest(created) as w where ${isAppended} and (
          (select true from secret s where ${hashOf('s.path')} = ${hashOf('w.path')} and s.deleted_at is null)
          or (select bool_or(s.version >= w.version or v.version >= w.version)
                from secret s left join secret_version v on v.secret_id = s.id
               where ${hashOf('s.path')} = ${hashOf('w.path')} and s.deleted_at is not null));
    end if;

    if replaced is not null then
      select verdicts || coalesce(jsonb_object_agg(w.n, 'moved'), '{}') into verdicts
        from unnest(replaced) as w where ${isAppended} and (
          (select s.id from secret s where s.id = w.id and s.revision = w.expected
              and coalesce(s.deleted_at, 'infinity') = 'infinity'
              for update skip locked) is null
          or (select true from rotation r where r.secret_id = w.id and r.ended_at is null)
          or (select true from secret_version v where v.secret_id = w.id and v.version >= w.version limit 1));
    end if;`

/** `stamp` is the number of the change. */
export const applyWrites = `
    if created is not null then
      insert into secret (id, path, version, revision, max_versions, created_at, updated_at, changed)
      select w.id, w.path, w.version, 1, w."maxVersions", w.at, w.at, stamp
        from unnest(created) as w where ${isAppended};
    end if;

    if replaced is not null then
      update secret set version = w.version, revision = secret.revision + 1, updated_at = w.at, changed = stamp
        from unnest(replaced) as w where secret.id = w.id and ${isAppended};

      update secret_version v set destroyed_at = w.at, ciphertext = null, data_key = null, wrapping_key_id = null
        from unnest(replaced) as w where v.secret_id = w.id and v.version = any(w.destroyed) and ${isAppended};
    end if;

    insert into secret_version (secret_id, version, wrapping_key_id, data_key, ciphertext, source, created_by, created_at, expires_at)
    select w.id, w.version, w."wrappingKeyId", decode(w."dataKey", 'base64'), decode(w.ciphertext, 'base64'), w.source,
           w."createdBy", w.at, w."expiresAt" from unnest(created || replaced) as w where ${isAppended};
    get diagnostics written = row_count;`
