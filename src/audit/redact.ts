/**
 * Retention: takes text, nonce and terms of entries, and says so in an entry that nobody can take. What was hashed stays,
 * so the log verifies as before (migrations/001-foundation.ts holds the rules that Postgres enforces).
 */
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { insertRedaction, readEntries, takeEntries } from '../store/entries.ts'
import type { Entry } from './entry.ts'
import type { Change } from './record.ts'

/** Entries [from, to) of an epoch; `rule` says why they go. */
export type Redaction = { epoch: number; from: number; to: number; rule: string }

type Run = { from: number; to: number }

/** Taken under the head lock, so not more at once than an append may wait for. */
export const mostRedacted = 5_000
const page = 500

/**
 * @returns how many entries it takes; those that tell how things came to be as they are stay
 * @throws Refusal `not_found` for entries that there are none of, `in_use` where a credential in the range lives,
 *   `conflict` where nothing is left to take
 */
export async function redact(
  tx: Knex.Transaction,
  { epoch, from, to, rule }: Redaction,
  now: Date,
): Promise<Change<{ redacted: number }>> {
  const runs: Run[] = []
  for (let at = from; at < to; at += page) {
    const rows = await readEntries(tx, epoch, at, Math.min(at + page, to))
    if (rows.length !== Math.min(page, to - at)) throw refuse('not_found', { detail: 'the log has no such entries' })
    for (const { index, body } of rows) {
      const entry: Entry | undefined = body === null ? undefined : JSON.parse(body)
      if (!entry || stays(index, entry)) continue
      if (lives(entry, now)) {
        throw refuse('in_use', { detail: `entry ${epoch}/${index} is of a credential that lives` })
      }
      const last = runs.at(-1)
      if (last?.to === index) last.to = index + 1
      else runs.push({ from: index, to: index + 1 })
    }
  }
  if (runs.length === 0) throw refuse('conflict', { detail: 'nothing in the range can be taken' })
  const redacted = runs.reduce((sum, run) => sum + run.to - run.from, 0)
  return {
    reply: { redacted },
    entry: {
      resource: { kind: 'entries', id: `${epoch}/${from}-${to}` },
      detail: { epoch, from, to, rule, redacted },
    },
    async placed(entryEpoch, entryIndex) {
      for (const run of runs) {
        await insertRedaction(tx, { epoch, ...run, entryEpoch, entryIndex })
        await takeEntries(tx, { epoch, ...run })
      }
    },
  }
}

/** Policy at any time, keys, and the log's own story can be read back from the log alone. What was refused is no part of it. */
const stays = (index: number, { action, outcome, change }: Entry): boolean =>
  index === 0 ||
  (outcome === 'granted' && (change !== undefined || action.startsWith('log.') || action.startsWith('key.')))

function lives({ issued }: Entry, now: Date): boolean {
  const ends = [
    issued?.x509?.notAfter,
    ...(issued?.jwts ?? []).map((jwt) => jwt.expiresAt),
    issued?.accessToken?.expiresAt,
    issued?.apiToken?.expiresAt,
  ]
  return ends.some((end) => end !== undefined && new Date(end) > now)
}
