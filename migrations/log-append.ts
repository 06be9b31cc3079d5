/**
 * The group commit in one statement: locks the head, checks each item under the lock, and inserts the valid ones.
 * Each statement of a function takes a new snapshot, so it sees what the previous holder of the lock committed.
 *
 * `p_items` and `p_writes` are JSON, with the members of the types in append-types.ts. They are parsed once, into arrays.
 * `p_has` names the optional members that occur in the batch, and the statements of all others are skipped. `p_writes` has
 * new versions of secrets (secret-writes.ts).
 *
 * `policy` in `p_has`: `rev` is the number of the last change of policy. Callers without it, of the previous version, keep
 * secrets in memory too: for them each change makes a decision stale.
 *
 * A connection caches its plans, and plans from empty tables would scan whole tables later. The settings therefore leave
 * only the indexes to the planner. In a join of small tables it would still read a whole index once instead of looking
 * each key up, so look-ups are subqueries that it cannot turn into joins: scalar ones, or lateral ones with a limit. A
 * condition of a partial index would make it read that index instead of the primary key, hence the coalesce.
 *
 * A closed log accepts nothing, and neither does a log on another server or without its synchronous standby. With
 * `refusable` in `p_has` the reply is then that for another epoch, without verdicts. The previous version does not send
 * `refusable` and commits its changes after any reply, so it gets an exception.
 *
 * `p_seen` is the number of entries that the caller's tree has. If other processes have appended since, the reply has
 * `missed`: the commitments from the caller's newest entry up to `first`, so that its tree can grow without another query.
 * A caller that is far behind reads them itself, page by page.
 *
 * Returns the verdicts of the items that were not appended. The others have indexes from `first` on, in order of n.
 */
import { applyWrites, checkWrites } from './secret-writes.ts'

export const logAppend = `
create or replace function log_append(p_batch uuid, p_epoch int, p_items json, p_has text[], p_writes json default null,
    p_seen bigint default null)
  returns json language plpgsql
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set plan_cache_mode = force_generic_plan as $$
declare
  head log_head%rowtype;
  here text := current_setting('purser.server', true);
  items append_item[];
  created append_write[];
  replaced append_write[];
  verdicts jsonb;
  appended bigint;
  decided_on bigint;
  stamp bigint;
  written bigint := 0;
  missed json;
begin
  select * into head from log_head where id = 1 for update;
  if exists (select 1 from lost_batch where id = p_batch) then
    raise exception 'batch % was given up', p_batch;
  end if;
  if head.epoch <> p_epoch then
    return json_build_object('epoch', head.epoch, 'size', head.size, 'revision', head.revision, 'first', head.size);
  end if;
  -- A connection ends with its server, so one successful look-up for each connection is enough.
  if head.server is not null and coalesce(here, '') = '' then
    here := log_server();
    if here is not null then
      perform set_config('purser.server', here, false);
    end if;
  end if;
  if head.closed_reason is not null or (head.server is not null and head.server is distinct from here)
     or (head.synchronous and current_setting('synchronous_standby_names') = '') then
    if not ('refusable' = any(p_has)) then
      raise exception 'the log takes no entry now: it is closed, or on another server';
    end if;
    return json_build_object('epoch', head.epoch, 'size', head.size, 'revision', head.revision, 'first', head.size);
  end if;

  decided_on := case when 'policy' = any(p_has) then head.policy_revision else head.revision end;
  select array_agg(i), coalesce(jsonb_object_agg(i.n, case when not head.issuing and not i.closed then 'closed' else 'stale' end)
           filter (where (not head.issuing and not i.closed and i.rev is not null) or i.rev < decided_on), '{}')
    into items, verdicts
    from json_populate_recordset(null::append_item, p_items) as i;

  if p_has && '{claim,session,use,alive}' then
    select verdicts || coalesce(jsonb_object_agg(i.n, case
        when j.id is not null and c.key is null then 'claimed'
        when s.ended_at is not null then 'ended:' || (
          select max(g.generation) from session g
           where g.instance = s.instance and g.spiffe_id = s.spiffe_id and g.ended_at is not null)
        when i.facts <> s.facts then 'facts'
        when c.holder = decode((i.claim).holder, 'base64') and c.claimed_at >= clock_timestamp() - interval '60 seconds'
          then 'repeated'
        else 'claimed' end), '{}')
      into verdicts
      from unnest(items) as i
      left join lateral (
        select * from join_token t where t.id = i.use and (t.uses_left = 0 or t.expires_at <= clock_timestamp()) limit 1
      ) j on true
      left join lateral (select * from claim t where t.key = decode((i.claim).key, 'base64') limit 1) c on true
      left join lateral (select * from session t where t.id = coalesce((i.session).id, i.alive) limit 1) s on true
     where i.rev is not null and not jsonb_exists(verdicts, i.n::text) and (s.ended_at is not null
        or i.facts <> s.facts or (j.id is not null and c.key is null)
        or (c.key is not null and (c.holder <> decode((i.claim).holder, 'base64')
                                   or c.claimed_at < clock_timestamp() - interval '60 seconds'
                                   or (i.claim).first)));
  end if;

  -- The secret was written, deleted or removed since its value was read.
  if 'reads' = any(p_has) then
    select verdicts || coalesce(jsonb_object_agg(i.n, 'moved'), '{}') into verdicts
      from unnest(items) as i
     where not jsonb_exists(verdicts, i.n::text) and exists (
       select 1 from unnest(i.reads) as r
        where r.revision is not null and r.revision is distinct from (
          select s.revision from secret s where s.id = r.secret and coalesce(s.deleted_at, 'infinity') = 'infinity'));
  end if;

  if 'ack' = any(p_has) then
    select verdicts || coalesce(jsonb_object_agg(i.n, 'unknown'), '{}') into verdicts
      from unnest(items) as i
     where (i.ack).secret is not null and not jsonb_exists(verdicts, i.n::text) and not exists (
       select 1 from secret_consumer c
        where c.secret_id = (i.ack).secret and c.holder = (i.ack).holder and c.version = (i.ack).version);

    -- A repeated acknowledgement keeps the first time.
    update secret_consumer c set acked_at = coalesce(c.acked_at, i.at)
      from unnest(items) as i
     where c.secret_id = (i.ack).secret and c.holder = (i.ack).holder and c.version = (i.ack).version
       and not jsonb_exists(verdicts, i.n::text);
  end if;

  if p_writes is not null then${checkWrites}
  end if;

  -- The sweep has deleted the role of a lease that is no longer intended.
  if 'leases' = any(p_has) then
    select verdicts || coalesce(jsonb_object_agg(i.n, 'lapsed'), '{}') into verdicts
      from unnest(items) as i
     where not jsonb_exists(verdicts, i.n::text) and exists (
       select 1 from unnest(i.leases) as l (id)
        where (select lease.state from lease where lease.id = l.id) is distinct from 'intended');

    update lease set state = 'active'
      from unnest(items) as i, unnest(i.leases) as l (id)
     where lease.id = l.id and not jsonb_exists(verdicts, i.n::text);
  end if;

  -- Counts a use, unless the same key repeats a claim whose reply was lost.
  if 'use' = any(p_has) then
    update join_token set uses_left = uses_left - 1
      from unnest(items) as i
     where join_token.id = i.use and not jsonb_exists(verdicts, i.n::text)
       and not exists (select 1 from claim c where c.key = decode((i.claim).key, 'base64'));
  end if;

  if 'claim' = any(p_has) then
    insert into claim (key, holder, claimed_at, until)
    select decode((i.claim).key, 'base64'), decode((i.claim).holder, 'base64'), clock_timestamp(), (i.claim).until
      from unnest(items) as i
     where (i.claim).key is not null and not jsonb_exists(verdicts, i.n::text)
        on conflict (key) do nothing;
  end if;

  if 'session' = any(p_has) then
    insert into session (id, instance, entry_keyed, generation, workload_id, attestor_id, spiffe_id, selectors, account, started_at, expires_at)
    select distinct on ((i.session).id) (i.session).id, decode((i.session).instance, 'base64'),
           coalesce((i.session)."entryKeyed", true), (i.session).generation, (i.session).workload, (i.session).attestor,
           (i.session)."spiffeId", (i.session).selectors, (i.session).account, i.at, (i.session).until
      from unnest(items) as i
     where (i.session).id is not null and not jsonb_exists(verdicts, i.n::text)
     order by (i.session).id, (i.session).until desc
        on conflict (id) do update set expires_at = greatest(session.expires_at, excluded.expires_at),
           instance = case when excluded.entry_keyed then session.instance else excluded.instance end,
           entry_keyed = session.entry_keyed and excluded.entry_keyed
        where session.expires_at < excluded.expires_at or (session.entry_keyed and not excluded.entry_keyed);

    -- An attestation sets the facts of all sessions of its instance. A renewal does not, and neither do items of the
    -- previous version, whose attestations and renewals look the same: they have no entryKeyed. The coalesce keeps the
    -- planner from reading the whole index of open sessions (session_account) for each item.
    update session set selectors = (i.session).selectors, facts = session.facts + 1
      from unnest(items) as i
     where i.facts is null and not (i.session)."entryKeyed" and not jsonb_exists(verdicts, i.n::text)
       and session.instance = decode((i.session).instance, 'base64') and coalesce(session.ended_at, 'infinity') = 'infinity'
       and session.selectors <> (i.session).selectors;
  end if;

  if 'token' = any(p_has) then
    insert into access_token (id, hash, session_id, expires_at)
    select (i.token).id, decode((i.token).hash, 'base64'), (i.token).session, (i.token).until
      from unnest(items) as i
     where (i.token).id is not null and not jsonb_exists(verdicts, i.n::text);
  end if;

  -- A row for each holder and version, with the time of the last read. The time is exact to the minute, unless it decides the
  -- order of the holder's versions, which shows whether a consumer has switched.
  if 'reads' = any(p_has) then
    insert into secret_consumer (secret_id, version, holder, fetched_at)
    select distinct on (r.secret, r.version, r.holder) r.secret, r.version, r.holder, i.at
      from unnest(items) as i, unnest(i.reads) as r
     where not jsonb_exists(verdicts, i.n::text)
     order by r.secret, r.version, r.holder, i.at desc
        on conflict (secret_id, holder, version) do update set fetched_at = excluded.fetched_at
        where secret_consumer.fetched_at < excluded.fetched_at - interval '1 minute'
           or secret_consumer.fetched_at < excluded.fetched_at and exists (
             select 1 from secret_consumer o
              where o.secret_id = excluded.secret_id and o.holder = excluded.holder
                and o.version <> excluded.version and o.fetched_at >= secret_consumer.fetched_at);
  end if;

  if p_seen < head.size and head.size - p_seen <= 512 then
    select json_agg(encode(leaf, 'base64') order by idx) into missed from log_entry
     where epoch = head.epoch and idx >= p_seen - 1 and idx < head.size;
  end if;

  insert into log_entry (epoch, idx, leaf, nonce, body, batch, at, terms)
  select head.epoch, head.size + row_number() over (order by i.n) - 1, decode(i.leaf, 'base64'),
         decode(i.nonce, 'base64'), i.body, p_batch, i.at, i.terms
    from unnest(items) as i
   where not jsonb_exists(verdicts, i.n::text);
  get diagnostics appended = row_count;

  if p_writes is not null then
    stamp := head.revision + 1;${applyWrites}
  end if;
  if written > 0 then
    update log_head set size = head.size + appended, revision = stamp, secret_changes = secret_changes + 1 where id = 1;
    perform pg_notify('purser_secrets', stamp::text);
  else
    update log_head set size = head.size + appended where id = 1;
  end if;
  return json_build_object('epoch', head.epoch, 'size', head.size + appended, 'revision', head.revision,
                           'first', head.size, 'verdicts', verdicts, 'missed', missed);
end $$`
