/** What a containment would find and do, without doing it. */
import { sessionGrant } from '../../authorize/session-grant.ts'
import { Refusal } from '../../errors.ts'
import { type Item, type ItemKind, openLeasesOf } from '../../store/containment-items.ts'
import { liveCovered, liveOnes } from '../../store/contained-sessions.ts'
import type { ContainmentRow, Reachable, Subject } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { createdTokens, withTokens } from './api-tokens.ts'
import { fateOf } from './fate.ts'
import { readsIn } from './findings.ts'
import { type NeedsHands, type Report, type RotatingSecret, byHand, maxLasting } from './report.ts'
import { searchLog } from './search.ts'

type Planned = Pick<ContainmentRow, 'subject' | 'since' | 'rotate' | 'epoch' | 'cut'>

/** Live sessions whose grants are read: those of one workload entry mostly have the same. */
const maxSessions = 200

/** @returns `created`: the API tokens that a contained one created */
export async function surveyOf(knex: Knex, planned: Planned, now: Date): Promise<Report & { created: string[] }> {
  const { items, sessions, created } = await collect(knex, planned, now)
  const ended = (await liveOnes(knex, [...sessions], now)).map((session) => session.id)
  const affected = [...items.values()]
  const live = await liveCovered(knex, planned.subject, now, maxSessions)
  const secrets = await secretsOf(knex, affected, planned)
  return {
    created,
    counts: countsOf(affected, ended),
    leases: await openLeasesOf(knex, ended),
    alsoAffected: live.map((session) => session.id).filter((id) => !ended.includes(id)),
    rotating: secrets.rotating,
    needsHands: [
      ...secrets.needsHands,
      ...affected.filter((item) => item.kind === 'change').map((item) => byHand(item.name)),
    ],
    lasting: affected
      .filter(({ kind }) => kind === 'certificate' || kind === 'jwt')
      .toSorted((a, b) => (b.until?.getTime() ?? 0) - (a.until?.getTime() ?? 0))
      .slice(0, maxLasting),
  }
}

type Collected = { items: Map<string, Item>; sessions: Set<string>; created: string[] }

async function collect(knex: Knex, planned: Planned, now: Date, earlier: string[] = []): Promise<Collected> {
  const collected: Collected = { items: new Map(), sessions: new Set(), created: earlier }
  for await (const page of searchLog(knex, planned, now)) {
    for (const item of page.items) collected.items.set(`${item.kind} ${item.name}`, item)
    for (const id of page.sessions) collected.sessions.add(id)
    const created = createdTokens(planned.subject, page.apiTokens)
    // What they did counts as well.
    if (created.length > 0) {
      const subject = withTokens(planned.subject, created)
      return collect(knex, { ...planned, subject }, now, [...earlier, ...created])
    }
  }
  return collected
}

function countsOf(items: readonly Item[], sessions: readonly string[]): Map<ItemKind, number> {
  const counts = new Map<ItemKind, number>([['session', sessions.length]])
  for (const { kind } of items) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

async function secretsOf(
  knex: Knex,
  items: readonly Item[],
  planned: Planned,
): Promise<{ rotating: RotatingSecret[]; needsHands: NeedsHands[] }> {
  const rotating: RotatingSecret[] = []
  const needsHands: NeedsHands[] = []
  for (const [path, versions] of readsIn(items)) {
    const fate = await fateOf(knex, path, versions, planned)
    if (fate.do === 'rotate') rotating.push({ path, versions, state: 'planned' })
    if (fate.do === 'person') needsHands.push({ kind: 'secret', name: path, reason: fate.reason })
  }
  return { rotating, needsHands }
}

/** What the live sessions of the subject are granted, read or not. */
export async function reachableBy(knex: Knex, snapshot: Snapshot, subject: Subject, now: Date): Promise<Reachable> {
  const secrets = new Set<string>()
  const audiences = new Set<string>()
  const databases = new Set<string>()
  for (const session of await liveCovered(knex, subject, now, maxSessions)) {
    const grant = grantOf(snapshot, session)
    for (const { patterns } of grant?.secrets ?? []) for (const pattern of patterns) secrets.add(pattern.text)
    for (const { audience } of grant?.jwt?.audiences ?? []) audiences.add(audience)
    for (const name of grant?.databases ?? []) databases.add(name)
  }
  return { secrets: [...secrets], audiences: [...audiences], databases: [...databases] }
}

/** An entry whose templates no longer fit the session's facts grants nothing. */
function grantOf(snapshot: Snapshot, session: Parameters<typeof sessionGrant>[1]) {
  try {
    return sessionGrant(snapshot, session)?.grant
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}
