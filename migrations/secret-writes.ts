/**
 * The part of `log_append` (log-append.ts) that writes versions of secrets, under the head lock. `p_writes` has a row for
 * each write: n (of its item), id, path, expected (the revision of the secret that the writer read; 0 for a new secret),
 * version, maxVersions, at, source, createdBy, expiresAt, wrappingKeyId, dataKey and ciphertext in base64, destroyed
 * (versions beyond `maxVersions`). No two writes of a batch have the same path.
 *
 * A write is left out when the secret has another revision, a rotation of it runs, or its version exists. It is also left
 * out while another transaction holds the lock of the secret's row: that transaction waits for the head lock.
 */
const columns = `n int, id text, path text, expected int, version int, "maxVersions" int, at timestamptz, source text,
  "createdBy" text, "expiresAt" timestamptz, "wrappingKeyId" text, "dataKey" text, ciphertext text, destroyed int[]`

/** The writes whose items are appended. */
const accepted = `json_to_recordset(p_writes) as w (${columns}) where not jsonb_exists(verdicts, w.n::text)`

export const checkWrites = `
    select verdicts || coalesce(jsonb_object_agg(w.n, 'moved'), '{}') into verdicts from ${accepted}
       and (w.expected = 0 and exists (
              select 1 from secret s left join secret_version v on v.secret_id = s.id
               where s.path = w.path and (s.deleted_at is null or s.version >= w.version or v.version >= w.version))
         or w.expected > 0 and (
              not exists (select 1 from secret s where s.id = w.id and s.revision = w.expected and s.deleted_at is null
                             for update skip locked)
              or exists (select 1 from rotation r where r.secret_id = w.id and r.ended_at is null)
              or exists (select 1 from secret_version v where v.secret_id = w.id and v.version >= w.version)));`

/** `stamp` is the number of the change. */
export const applyWrites = `
    insert into secret (id, path, version, revision, max_versions, created_at, updated_at, changed)
    select w.id, w.path, w.version, 1, w."maxVersions", w.at, w.at, stamp from ${accepted} and w.expected = 0;

    update secret set version = w.version, revision = secret.revision + 1, updated_at = w.at, changed = stamp
      from ${accepted} and secret.id = w.id and w.expected > 0;

    insert into secret_version (secret_id, version, wrapping_key_id, data_key, ciphertext, source, created_by, created_at, expires_at)
    select w.id, w.version, w."wrappingKeyId", decode(w."dataKey", 'base64'), decode(w.ciphertext, 'base64'), w.source,
           w."createdBy", w.at, w."expiresAt" from ${accepted};

    update secret_version v set destroyed_at = w.at, ciphertext = null, data_key = null, wrapping_key_id = null
      from ${accepted} and v.secret_id = w.id and v.version = any(w.destroyed);

    written := exists (select 1 from ${accepted});`
