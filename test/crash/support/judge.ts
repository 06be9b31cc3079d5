/**
 * Compares the surviving log with the evidence of clients. It reads every row, computes tree, tiles and effects with simple
 * code of its own, and lists all contradictions.
 */
import { commitment, leafHash, nodeHash } from '@purser/sdk/verify'
import type { Knex } from '../../../src/store/database.ts'
import type { Evidence } from './evidence.ts'

export type Verdict = {
  entries: number
  granted: number
  refused: number
  failed: number
  /** Granted credentials, and granted changes of workload entries. */
  issued: number
  changed: number
  heads: number
  tiles: number
  problems: string[]
  log: Entry[]
}

type EntryRow = { idx: string; leaf: Buffer; nonce: Buffer; body: string; batch: string }
export type Entry = {
  index: number
  requestId: string
  action: string
  outcome: string
  reason?: string
  actor: {
    kind: string
    session?: string
    operator?: string
    workload?: string
    revision?: number
    selectors?: Record<string, unknown>
  }
  issued?: {
    x509?: { publicKeySha256: string }
    accessToken?: { id: string }
    secrets?: { path: string; version: number }[]
    leases?: { id: string }[]
  }
  resource?: { kind: string; id: string; name?: string; revision?: number }
  change?: unknown
  detail?: Record<string, unknown>
}

/** Roots of the tree at these sizes: complete subtrees from large to small, joined from the right (RFC 6962 section 2.1). */
function rootsAt(leaves: Buffer[], sizes: ReadonlySet<number>): Map<number, string> {
  const roots = new Map<number, string>()
  const peaks: { height: number; hash: Buffer }[] = []
  leaves.forEach((leaf, n) => {
    let top = { height: 0, hash: leafHash(leaf) }
    for (let last = peaks.at(-1); last?.height === top.height; last = peaks.at(-1)) {
      peaks.pop()
      top = { height: top.height + 1, hash: nodeHash(last.hash, top.hash) }
    }
    peaks.push(top)
    if (!sizes.has(n + 1)) return
    const root = peaks.map((peak) => peak.hash).reduceRight((right, left) => nodeHash(left, right))
    roots.set(n + 1, root.toString('base64'))
  })
  return roots
}

/** Every full tile of the tree: 256 hashes, each the root of 256 of the level below. */
function tilesOf(leaves: Buffer[]): Map<string, Buffer> {
  const tiles = new Map<string, Buffer>()
  let row = leaves.map((leaf) => leafHash(leaf))
  for (let level = 0; row.length >= 256; level++) {
    const above: Buffer[] = []
    for (let index = 0; (index + 1) * 256 <= row.length; index++) {
      let hashes = row.slice(index * 256, (index + 1) * 256)
      tiles.set(`${level}/${index}`, Buffer.concat(hashes))
      while (hashes.length > 1)
        hashes = hashes.flatMap((hash, n) => (n % 2 === 0 ? [nodeHash(hash, hashes[n + 1] as Buffer)] : []))
      above.push(hashes[0] as Buffer)
    }
    row = above
  }
  return tiles
}

const duplicates = (list: string[]): string[] => {
  const requestIds = new Set<string>()
  return list.filter((item) => requestIds.size === requestIds.add(item).size)
}

async function readEntries(knex: Knex): Promise<EntryRow[]> {
  const rows: EntryRow[] = []
  for (;;) {
    const last = rows.at(-1)?.idx ?? '-1'
    const page: EntryRow[] = await knex('log_entry')
      .select('idx', 'leaf', 'nonce', 'body', 'batch')
      .where({ epoch: 1 })
      .where('idx', '>', last)
      .orderBy('idx')
      .limit(5_000)
    rows.push(...page)
    if (page.length < 5_000) return rows
  }
}

export async function judge(knex: Knex, evidence: Evidence): Promise<Verdict> {
  const problems = [...evidence.faults]
  const rows = await readEntries(knex)
  const head: { size: string } = await knex('log_head').first('size')
  if (Number(head.size) !== rows.length) problems.push(`the head says ${head.size}, there are ${rows.length} entries`)
  rows.forEach((row, n) => {
    if (Number(row.idx) !== n) problems.push(`a gap: entry ${row.idx} is the ${n}th`)
    if (!commitment(row.nonce, row.body).equals(row.leaf)) problems.push(`entry ${row.idx} is not what its leaf says`)
  })
  for (const leaf of duplicates(rows.map((row) => row.leaf.toString('base64'))))
    problems.push(`leaf ${leaf} is there twice`)
  const entries = rows.map((row): Entry => ({ ...JSON.parse(row.body), index: Number(row.idx) }))

  for (const { index, leaf, requestId } of evidence.issuedReplies) {
    const row = rows[index]
    const same = row && leafHash(row.leaf).toString('base64') === leaf
    if (!same) problems.push(`what request ${requestId} was given is not entry ${index}`)
  }
  for (const { index, action, name, outcome = 'granted' } of evidence.changed) {
    const entry = entries[index]
    if (entry?.action !== action || entry.resource?.name !== name || entry.outcome !== outcome)
      problems.push(`entry ${index} is not the ${action} of ${name} that was confirmed`)
  }

  const leaves = rows.map((row) => row.leaf)
  const roots = rootsAt(leaves, new Set(evidence.heads.keys()))
  for (const [size, root] of evidence.heads)
    if (roots.get(size) !== root) problems.push(`the head of size ${size} that a client saw is not this log's`)

  const tiles = tilesOf(leaves)
  const tileRows: { level: number; idx: string; hashes: Buffer }[] = await knex('log_tile').where({ epoch: 1 })
  for (const { level, idx, hashes } of tileRows)
    if (!tiles.get(`${level}/${idx}`)?.equals(hashes)) problems.push(`tile ${level}/${idx} is wrong`)

  problems.push(...(await judgeEffects(knex, entries)))
  const granted = entries.filter((entry) => entry.outcome === 'granted')
  const count = (outcome: string): number => entries.filter((entry) => entry.outcome === outcome).length
  return {
    entries: rows.length,
    granted: granted.length,
    refused: count('refused'),
    failed: count('failed'),
    issued: granted.filter((entry) => entry.action === 'credentials.issue').length,
    changed: granted.filter((entry) => entry.resource?.kind === 'workload').length,
    heads: evidence.heads.size,
    tiles: tileRows.length,
    problems,
    log: entries,
  }
}

/** Each committed effect needs one entry, and each entry with an effect needs that effect. */
async function judgeEffects(knex: Knex, entries: Entry[]): Promise<string[]> {
  const problems: string[] = []
  const granted = entries.filter((entry) => entry.outcome === 'granted')
  const issued = granted.filter((entry) => entry.action === 'credentials.issue')
  for (const id of duplicates(issued.map((entry) => entry.requestId))) problems.push(`request ${id} was granted twice`)

  const tokenIds = issued.flatMap((entry) => entry.issued?.accessToken?.id ?? [])
  const tokens = new Set<string>(await knex('access_token').pluck('id'))
  if (tokenIds.length !== tokens.size || tokenIds.some((id) => !tokens.has(id)))
    problems.push(`${tokenIds.length} access tokens in the log, ${tokens.size} in the table`)

  const used = new Set(issued.flatMap((entry) => entry.actor.session ?? []))
  const sessions: string[] = await knex('session').pluck('id')
  for (const id of sessions) if (!used.has(id)) problems.push(`session ${id} is in no entry`)
  if (sessions.length !== used.size) problems.push(`${used.size} sessions in the log, ${sessions.length} in the table`)

  const changes = new Map<string, number>()
  for (const { action, change, resource } of granted)
    if (resource?.kind === 'workload' && (change !== undefined || action === 'workload.delete'))
      changes.set(resource.id, (changes.get(resource.id) ?? 0) + 1)
  const workloads: { id: string; revision: number; deleted_at: Date | null }[] = await knex('workload')
  for (const { id, revision, deleted_at } of workloads) {
    const expected = revision + (deleted_at ? 1 : 0)
    if (changes.get(id) !== expected)
      problems.push(`workload ${id} was changed ${expected} times, and the log has ${changes.get(id) ?? 0} changes`)
  }
  if (workloads.length !== changes.size)
    problems.push(`${changes.size} workloads in the log, ${workloads.length} exist`)
  return problems
}
