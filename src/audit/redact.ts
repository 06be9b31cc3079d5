/**
 * Redaction for retention: removes text, nonce and terms of entries, and lists them in a new entry. The commitments stay,
 * so the log verifies as before. Postgres enforces the rules of migrations/005-redaction.ts.
 */
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { type Run, readRedactable, redactEntries } from '../store/entries.ts'
import { credentialsOf } from '../store/issued.ts'
import { liveVersions, versionKey } from '../store/secret-versions.ts'
import type { LogEntry } from './entry.ts'
import type { Change } from './record.ts'
import { openLeaseIds } from '../store/leases.ts'

/** Entries [from, to) of an epoch, and the retention rule. */
export type Redaction = { epoch: number; from: number; to: number; rule: string }

/** Entries that are younger than `minAgeSeconds` at `now` can't be redacted. */
export type RedactionTime = { now: Date; minAgeSeconds: number }

type IndexedEntry = { index: number; entry: LogEntry }

/** A redaction holds the head lock, and appends wait for it. */
export const maxRedacted = 5_000
const page = 500

/**
 * Entries that document the present state stay (`log_entry_stays`).
 * @returns the number of redacted entries
 * @throws Refusal `not_found` for indexes beyond the log, `in_use` when a credential, lease or version in the range is live,
 *   `conflict` when an entry is too young, or nothing is left to redact
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
    const redactable = rows.filter(({ stays }) => stays === false)
    const entries = redactable.flatMap(({ index, body }): IndexedEntry[] =>
      body === null ? [] : [{ index, entry: JSON.parse(body) }],
    )
    const livePart = await createLivePart(
      tx,
      entries.map(({ entry }) => entry),
      now,
    )
    for (const { index, entry } of entries) {
      const part = livePart(entry)
      if (part) throw refuse('in_use', { detail: `entry ${epoch}/${index} issued ${part} that is live: end it first` })
      const last = runs.at(-1)
      if (last?.to === index) last.to = index + 1
      else runs.push({ from: index, to: index + 1 })
    }
    const young = redactable.find((row) => row.at > youngest)
    if (young) throw refuse('conflict', { detail: tooYoung(`${epoch}/${young.index}`, minAgeSeconds) })
  }
  if (runs.length === 0) throw refuse('conflict', { detail: 'the range has no entry that can be redacted' })
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
  if (!issued) return false
  const ends = credentialsOf(issued).map(({ until }) => until)
  if (issued.apiToken) ends.push(new Date(issued.apiToken.expiresAt))
  return ends.some((end) => end > now)
}

const leasesOf = ({ issued, resource }: LogEntry): string[] => [
  ...(issued?.leases ?? []).map((lease) => lease.id),
  ...(resource?.kind === 'lease' && resource.id !== undefined ? [resource.id] : []),
]
const versionsOf = ({ issued }: LogEntry) => issued?.secrets ?? []

/** Returns a function that names a live credential, lease or version of an entry. The database says which ones live. */
async function createLivePart(
  tx: Knex,
  entries: readonly LogEntry[],
  now: Date,
): Promise<(entry: LogEntry) => string | undefined> {
  const leases = await openLeaseIds(tx, [...new Set(entries.flatMap(leasesOf))])
  const versionsByKey = new Map(entries.flatMap(versionsOf).map((version) => [versionKey(version), version]))
  const versions = await liveVersions(tx, [...versionsByKey.values()], now)
  return (entry) => {
    if (isCredentialOf(entry, now)) return 'a credential'
    if (leasesOf(entry).some((id) => leases.has(id))) return 'a lease'
    return versionsOf(entry).some((version) => versions.has(versionKey(version))) ? 'a version of a secret' : undefined
  }
}
