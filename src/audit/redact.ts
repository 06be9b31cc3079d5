/**
 * Retention: takes text, nonce and terms of entries, and names them in an entry that stays. What was hashed stays too, so
 * the log verifies as before. migrations/005-redaction.ts holds the rules that Postgres enforces.
 */
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { type Run, readRedactable, redactEntries } from '../store/entries.ts'
import { liveVersions, versionKey } from '../store/secret-versions.ts'
import type { LogEntry } from './entry.ts'
import type { Change } from './record.ts'
import { openLeaseIds } from '../store/leases.ts'

/** Entries [from, to) of an epoch; `rule` says why they go. */
export type Redaction = { epoch: number; from: number; to: number; rule: string }

/** Entries that are younger than `minAgeSeconds` at `now` can't be taken. */
export type RedactionTime = { now: Date; minAgeSeconds: number }

type Read = { index: number; entry: LogEntry }

/** Taken under the head lock, so not more at once than an append may wait for. */
export const maxRedacted = 5_000
const page = 500

/**
 * @returns how many entries it takes; those that tell how things came to be as they are stay
 * @throws Refusal `not_found` for entries that there are none of, `in_use` where a credential, lease or version in the range lives,
 *   `conflict` where one is too young, or nothing is left to take
 */
export async function redact(
  tx: Knex.Transaction,
  { epoch, from, to, rule }: Redaction,
  { now, minAgeSeconds }: RedactionTime,
): Promise<Change<{ redacted: number }>> {
  const runs: Run[] = []
  const youngest = new Date(now.getTime() - minAgeSeconds * 1000)
  for (let at = from; at < to; at += page) {
    const rows = await readRedactable(tx, epoch, at, Math.min(at + page, to))
    if (rows.length !== Math.min(page, to - at)) throw refuse('not_found', { detail: 'the log has no such entries' })
    const takeable = rows.filter(({ stays }) => stays === false)
    const read = takeable.flatMap(({ index, body }): Read[] =>
      body === null ? [] : [{ index, entry: JSON.parse(body) }],
    )
    const lives = await judge(
      tx,
      read.map(({ entry }) => entry),
      now,
    )
    for (const { index, entry } of read) {
      const what = lives(entry)
      if (what) throw refuse('in_use', { detail: `entry ${epoch}/${index} is of ${what} that lives` })
      const last = runs.at(-1)
      if (last?.to === index) last.to = index + 1
      else runs.push({ from: index, to: index + 1 })
    }
    const young = takeable.find((row) => row.at > youngest)
    if (young) throw refuse('conflict', { detail: tooYoung(`${epoch}/${young.index}`, minAgeSeconds) })
  }
  if (runs.length === 0) throw refuse('conflict', { detail: 'nothing in the range can be taken' })
  const redacted = runs.reduce((sum, run) => sum + run.to - run.from, 0)
  return {
    result: { redacted },
    entry: {
      resource: { kind: 'entries', id: `${epoch}/${from}-${to}` },
      detail: { epoch, from, to, rule, redacted, runs: runs.map((run) => [run.from, run.to]) },
    },
    placed: (entryEpoch, index) => redactEntries(tx, { epoch, runs, entry: { epoch: entryEpoch, index } }),
  }
}

const tooYoung = (place: string, seconds: number): string =>
  `entry ${place} is younger than ${seconds} seconds (PURSER_MIN_REDACTION_AGE_SECONDS): end the range before it`

function isCredentialOf({ issued }: LogEntry, now: Date): boolean {
  const ends = [
    issued?.x509?.notAfter,
    ...(issued?.jwts ?? []).map((jwt) => jwt.expiresAt),
    issued?.accessToken?.expiresAt,
    issued?.apiToken?.expiresAt,
  ]
  return ends.some((end) => end !== undefined && new Date(end) > now)
}

const leasesOf = ({ issued, resource }: LogEntry): string[] => [
  ...(issued?.leases ?? []).map((lease) => lease.id),
  ...(resource?.kind === 'lease' && resource.id !== undefined ? [resource.id] : []),
]
const versionsOf = ({ issued }: LogEntry) => issued?.secrets ?? []

/** Answers what it is of an entry that lives. What ends at no time of its own is asked of the database. */
async function judge(
  tx: Knex,
  entries: readonly LogEntry[],
  now: Date,
): Promise<(entry: LogEntry) => string | undefined> {
  const leases = await openLeaseIds(tx, [...new Set(entries.flatMap(leasesOf))])
  const named = new Map(entries.flatMap(versionsOf).map((one) => [versionKey(one), one]))
  const versions = await liveVersions(tx, [...named.values()], now)
  return (entry) => {
    if (isCredentialOf(entry, now)) return 'a credential'
    if (leasesOf(entry).some((id) => leases.has(id))) return 'a lease'
    return versionsOf(entry).some((one) => versions.has(versionKey(one))) ? 'a version of a secret' : undefined
  }
}
