/** Compares the log in the database with the newest heads outside of it. */
import { parseCheckpoint, parseNote } from '@purser/sdk/verify'
import type { HeadPlace } from '../../audit/head-places.ts'
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
import { codeOf } from '../io.ts'
import { headPlaces } from '../new-epoch.ts'
import { type Finding, collect, fail, note, ok } from './finding.ts'

const check = 'log'
const stopped = 'nothing is issued until it is certain that no entry was lost'

type Parts = { config: Config; head: Head }

/** The outside heads are read first, since a running server advances both. */
export async function checkLog(knex: Knex, { config, head: opened }: Parts): Promise<Finding[]> {
  const outbound = createOutbound({ allow: config.fetchAllow })
  try {
    const copies = await Promise.all(headPlaces(config, outbound).map(readPlace))
    const head = (await readHead(knex)) ?? opened
    const tree = await treeOf(knex, head)
    if (!tree) return [gap(head)]
    const vkeys = await vkeysOf(knex, head)
    const compared = await Promise.all(copies.map((copy) => judge(copy, tree, head, vkeys)))
    return collect(
      judgeIssuing(head),
      await judgeFailover(knex, head, config),
      compared,
      config.log.headUrl === undefined && onlyInside(config),
    )
  } finally {
    outbound.close()
  }
}

type Copy = { where: string; note: string } | { where: string; fault: string }

async function readPlace(place: HeadPlace): Promise<Copy> {
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
    // An error of the database has a code; a gap in the log has none.
    if (codeOf(error) !== undefined) throw error
    return undefined
  }
}

const gap = ({ epoch, size }: Head): Finding =>
  fail(check, `entries are missing among the ${size} of epoch ${epoch}`, {
    why: 'they were deleted, or a backup was restored in part; the server does not start',
    do: 'restore the newest complete backup, and keep this database as evidence',
  })

async function vkeysOf(knex: Knex, { trustDomain }: Head): Promise<string[]> {
  const rows = (await readKeys(knex)).filter((row) => row.kind === 'log')
  return rows.map((row) => logVkey(row, originOf(trustDomain, row.epoch ?? 0)))
}

async function judge(copy: Copy, tree: Tree, head: Head, vkeys: string[]): Promise<Finding> {
  const { where } = copy
  if ('fault' in copy) {
    return fail(check, `cannot read the head in ${where} (${copy.fault}), which may be newer`, {
      why: stopped,
      do: 'make it readable and writable: the server reads it at its start and writes it every second',
    })
  }
  if (copy.note === '') return note(check, `no head is in ${where} yet`)
  const { trustDomain, epoch } = head
  const what = await contradiction(tree, { trustDomain, epoch, vkeys }, copy)
  if (what !== undefined) {
    const remedy =
      'restore the newest database; if this is the newest, stop every replica, then: purser log new-epoch --reason "…"'
    return fail(check, what, { why: stopped, do: remedy })
  }
  const { size } = parseCheckpoint(parseNote(copy.note).text)
  return ok(check, `agrees with ${where}: ${size} of ${head.size} entries of epoch ${epoch}`)
}

function judgeIssuing({ issuing, epoch, closed }: Head): Finding | undefined {
  if (issuing) return undefined
  if (closed) {
    return fail(check, `closed since ${closed.at.toISOString()}: ${closed.reason}`, {
      why: 'a replica noticed that an older database was restored: no replica issues or serves a head',
      do: doubts.rollback.do,
    })
  }
  return fail(check, `issuing is closed since epoch ${epoch} began`, {
    why: 'after a new epoch an operator reviews workloads, attestors and revocations; until then nothing is issued',
    do: 'after the review: purser log open --reason "reviewed"',
  })
}

/** What the configuration guarantees after a fail-over of Postgres. */
const guarantees: Record<FailoverMode, string> = {
  confirm: 'after a fail-over nothing is issued until purser log accept-failover',
  synchronous: 'entries need a synchronous standby, and its promotion is accepted: promote no other standby',
  unchecked: 'a fail-over goes unnoticed, and so do the commits that it loses',
}

async function judgeFailover(knex: Knex, head: Head, { database }: Config): Promise<Finding | undefined> {
  if (database.kind === 'embedded') return undefined
  const facts = await readServer(knex)
  const doubt = judgeServer(head, facts, database.failover)
  if (doubt)
    return fail(check, doubt.detail, { why: 'nothing is issued: entries may be lost', do: doubts[doubt.kind].do })
  const guarantee = `PURSER_DATABASE_FAILOVER=${database.failover}: ${guarantees[database.failover]}`
  return (database.failover === 'unchecked' ? note : ok)(check, guarantee)
}

const onlyInside = ({ database }: Config): Finding =>
  note(check, 'the newest head is only in the data directory', {
    why:
      database.kind === 'embedded'
        ? 'if the whole directory is restored, database and head, only clients and auditors notice'
        : 'if both are restored, database and data directory, only clients and auditors notice',
    do: 'set PURSER_LOG_HEAD_URL=https://… to keep it in an object elsewhere as well',
  })
