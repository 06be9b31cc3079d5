/** The log in the database, held against the newest heads that are kept outside of it. */
import { parseCheckpoint, parseNote } from '@purser/sdk/verify'
import { type HeadPlace, headFile, headObject } from '../../audit/head-places.ts'
import { doubts } from '../../audit/doubt.ts'
import { type FailoverMode, judgeServer } from '../../audit/database-server.ts'
import { contradiction } from '../../audit/head-evidence.ts'
import { originOf } from '../../audit/log.ts'
import { readTree } from '../../audit/read-tree.ts'
import type { Tree } from '../../audit/tree.ts'
import type { Config } from '../../config.ts'
import { logVkey } from '../../keys/keys.ts'
import { createOutbound } from '../../outbound/client.ts'
import type { Knex } from '../../store/database.ts'
import { readKeys } from '../../store/keys.ts'
import { type Head, readHead } from '../../store/log.ts'
import { readServer } from '../../store/database-server.ts'
import { type Finding, codeOf, fail, note, ok } from './finding.ts'

const check = 'log'
const stopped = 'nothing is issued until it is known that no entry was lost'

type Parts = { config: Config; head: Head }

/** Heads are read before the database's: a server that is running moves both on. */
export async function lookAtLog(knex: Knex, { config, head: opened }: Parts): Promise<Finding[]> {
  const outbound = createOutbound({ allow: config.fetchAllow })
  const { headUrl } = config.log
  const places = [headFile(config.dataDir), ...(headUrl === undefined ? [] : [headObject(headUrl, outbound)])]
  try {
    const kept = await Promise.all(places.map(readPlace))
    const head = (await readHead(knex)) ?? opened
    const tree = await treeOf(knex, head)
    if (!tree) return [gap(head)]
    const vkeys = await vkeysOf(knex, head)
    const found = await Promise.all(kept.map((kept) => judge(kept, tree, head, vkeys)))
    return [
      ...aboutIssuing(head),
      ...(await aboutServer(knex, head, config)),
      ...found.flat(),
      ...(headUrl === undefined ? [inside(config)] : []),
    ]
  } finally {
    outbound.close()
  }
}

type Kept = { where: string; note: string } | { where: string; fault: string }

async function readPlace(place: HeadPlace): Promise<Kept> {
  try {
    return { where: place.where, note: (await place.read()).note }
  } catch (error) {
    return { where: place.where, fault: codeOf(error) ?? 'unreadable' }
  }
}

async function treeOf(knex: Knex, { epoch, size }: Head): Promise<Tree | undefined> {
  try {
    return await readTree(knex, epoch, size)
  } catch (error) {
    // A fault of the database itself has a code; a hole in the log has none.
    if (codeOf(error) !== undefined) throw error
    return undefined
  }
}

const gap = ({ epoch, size }: Head): Finding =>
  fail(check, `entries are missing among the ${size} of epoch ${epoch}`, {
    why: 'somebody took them out, or a backup was put back in part; the server does not start',
    do: 'put the newest whole backup back, and keep this database as evidence',
  })

async function vkeysOf(knex: Knex, { trustDomain }: Head): Promise<string[]> {
  const rows = (await readKeys(knex)).filter((row) => row.kind === 'log')
  return rows.map((row) => logVkey(row, originOf(trustDomain, row.epoch ?? 0)))
}

async function judge(kept: Kept, tree: Tree, head: Head, vkeys: string[]): Promise<Finding[]> {
  const { where } = kept
  if ('fault' in kept) {
    const remedy = `make it readable: the server reads it once at its start, and writes it every second`
    return [
      fail(check, `the head in ${where} can't be read (${kept.fault}): it may be newer`, { why: stopped, do: remedy }),
    ]
  }
  if (kept.note === '') return [note(check, `no head was kept in ${where} yet`)]
  const { trustDomain, epoch } = head
  const what = await contradiction(tree, { trustDomain, epoch, vkeys }, kept)
  if (what !== undefined) {
    const remedy =
      'put the newest database back; if this is it: end every replica, then purser log new-epoch --reason "…"'
    return [fail(check, what, { why: stopped, do: remedy })]
  }
  const { size } = parseCheckpoint(parseNote(kept.note).text)
  return [ok(check, `agrees with ${where}: ${size} of ${head.size} entries of epoch ${epoch}`)]
}

function aboutIssuing({ issuing, epoch, closed }: Head): Finding[] {
  if (issuing) return []
  if (closed) {
    const what = `closed since ${closed.at.toISOString()}: ${closed.reason}`
    return [
      fail(check, what, {
        why: 'a replica found that this database was put back: no replica issues or serves a head',
        do: doubts.rollback.do,
      }),
    ]
  }
  return [
    fail(check, `issuing is closed since epoch ${epoch} began`, {
      why: 'after a new epoch an operator first looks at workloads, attestors and revocations; until then nothing is issued',
      do: 'review them, then: purser log open --reason "reviewed"',
    }),
  ]
}

/** What the set-up promises for a fail-over of Postgres. */
const guarantees: Record<FailoverMode, string> = {
  confirm: 'after a fail-over nothing is issued until purser log accept-failover',
  synchronous: 'entries need a synchronous standby, and its promotion is accepted: promote no other standby',
  unchecked: 'a fail-over is not noticed: a commit that it loses is lost unseen',
}

async function aboutServer(knex: Knex, head: Head, { database }: Config): Promise<Finding[]> {
  if (database.kind === 'embedded') return []
  const facts = await readServer(knex)
  const doubt = judgeServer(head, facts, database.failover)
  if (doubt)
    return [fail(check, doubt.detail, { why: 'nothing is issued: entries may be lost', do: doubts[doubt.kind].do })]
  const words = `PURSER_DATABASE_FAILOVER=${database.failover}: ${guarantees[database.failover]}`
  return [database.failover === 'unchecked' ? note(check, words) : ok(check, words)]
}

const inside = ({ database }: Config): Finding =>
  note(check, 'the newest head is kept in the data directory alone', {
    why:
      database.kind === 'embedded'
        ? 'who puts the whole directory back, database and head, is noticed by clients and auditors only'
        : 'who puts both back, database and data directory, is noticed by clients and auditors only',
    do: 'PURSER_LOG_HEAD_URL=https://… keeps it in an object elsewhere as well',
  })
