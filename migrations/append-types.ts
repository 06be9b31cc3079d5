/**
 * The types of what `log_append` takes (log-append.ts), by the names of the members on the wire. Bytes are texts in base64.
 *
 * An item has n, rev, closed (appended also while issuing is closed), leaf, nonce, body, at, terms. Optional members: claim
 * (`first`: only a first claim is accepted), session, token, use (the id of a join token), alive (the id of a session that
 * must not have ended), facts (the version of the session's facts on which the decision is based), reads (`revision`: of the
 * secret when it was read), leases (ids of intended leases), ack.
 *
 * A write has n (of its item), id and path of its secret, expected (the revision of the secret that the writer read; 0 for a
 * new secret), and the new version; `destroyed` are versions beyond `maxVersions`.
 */
export const appendTypes = [
  `create type append_claim as (key text, holder text, until timestamptz, first boolean)`,
  `create type append_session as (
     id text, instance text, "entryKeyed" boolean, generation int, workload text, attestor text, "spiffeId" text,
     selectors jsonb, account text, until timestamptz)`,
  `create type append_token as (id text, hash text, session text, until timestamptz)`,
  `create type append_read as (secret text, version int, holder text, revision int)`,
  `create type append_item as (
     n int, rev bigint, closed boolean, leaf text, nonce text, body text, at timestamptz, terms bigint[],
     claim append_claim, session append_session, token append_token, use text, alive text, facts int,
     reads append_read[], leases text[], ack append_read)`,
  `create type append_write as (
     n int, id text, path text, expected int, version int, "maxVersions" int, at timestamptz, source text,
     "createdBy" text, "expiresAt" timestamptz, "wrappingKeyId" text, "dataKey" text, ciphertext text, destroyed int[])`,
]
