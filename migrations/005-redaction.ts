/**
 * A redaction names the exact runs of entries that it redacts. Earlier rows have one run each, and their entries name a
 * range and a number (sdk/src/verify/redactions.ts).
 */
import type { Knex } from 'knex'

const runs = [
  // A generated column, since UPDATE is refused. The bounds stay, because the previous release reads them.
  `alter table log_redaction add column runs int8multirange not null
     generated always as (int8multirange(int8range(from_idx, to_idx))) stored`,
  `alter table log_redaction alter column runs drop expression`,
  `alter table log_redaction add check (lower(runs) = from_idx and upper(runs) = to_idx)`,
]

const rules = [
  // Past policy, keys, revocations and the history of the log can only be read from the log, so these entries stay.
  `create function log_entry_stays(p_idx bigint, p_body text) returns boolean language plpgsql as $$
   declare
     entry json := p_body;
     action text := entry ->> 'action';
     outcome text := entry ->> 'outcome';
   begin
     return p_idx = 0
       or outcome in ('granted', 'intended', 'completed')
          and (entry -> 'change' is not null or entry -> 'revoked' is not null
               or action ~ '^(log|key|root-key|revocation|identity|bootstrap)[.]' or action in ('session.end', 'token.revoke'))
       or outcome = 'granted' and action in ('lease.revoke', 'lease.abandon');
   end $$`,
  // The log allows one change: body and nonce to null after a day, in a run of a redaction of the same transaction.
  `create or replace function log_entry_update() returns trigger language plpgsql as $$
   begin
     if new.body is null and new.nonce is null and new.terms = '{}'
        and (new.epoch, new.idx, new.leaf, new.batch, new.at) = (old.epoch, old.idx, old.leaf, old.batch, old.at)
        and not log_entry_stays(old.idx, old.body)
        and old.at < clock_timestamp() - interval '1 day'
        and exists (select 1 from log_redaction r
                     where r.tx = txid_current() and r.epoch = old.epoch and old.idx <@ r.runs)
     then return new; end if;
     raise exception 'the log is append-only (UPDATE on log_entry %/%)', old.epoch, old.idx using errcode = '42501';
   end $$`,
  // At the end of the transaction, the entry must name the same runs, and all their texts must be removed.
  `create or replace function log_redaction_recorded() returns trigger language plpgsql as $$
   declare
     entry json;
   begin
     select e.body into entry from log_entry e where e.epoch = new.entry_epoch and e.idx = new.entry_idx;
     if entry ->> 'action' = 'log.redact' and entry ->> 'outcome' = 'granted'
        and (entry #>> '{detail,epoch}')::int = new.epoch
        and new.runs = (select range_agg(int8range((run ->> 0)::bigint, (run ->> 1)::bigint))
                          from json_array_elements(entry #> '{detail,runs}') as run)
        and not exists (select 1 from log_entry e
                         where e.epoch = new.epoch and e.idx >= lower(new.runs) and e.idx < upper(new.runs)
                           and e.idx <@ new.runs and e.body is not null)
     then return null; end if;
     raise exception 'a redaction needs its entry in the log' using errcode = '42501';
   end $$`,
]

export const redactionMigration = {
  name: '005-redaction',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...runs, ...rules]) await knex.raw(statement)
  },
}
