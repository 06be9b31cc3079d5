/**
 * Detects a fail-over of the database to another server. A promoted standby has a later timeline of the same system and
 * lacks the commits that it had not received. The head row names the server on which the log was written, and `log_append`
 * refuses on any other. This works even when every replica and every external head is lost together with the server.
 */
import { refuse } from '../errors.ts'
import type { Knex } from '../store/database.ts'
import { type Head, appendItems, lockHead, newBatchId } from '../store/log.ts'
import { type ServerFacts, bindServer, readServer, unbindServer } from '../store/database-server.ts'
import type { Doubt } from './doubt.ts'
import { sealSystem } from './seal.ts'

/**
 * `confirm`: an operator must accept a change of server. `synchronous`: a promotion is accepted, since each entry waited
 * for a synchronous standby. `unchecked`: any server is accepted, since the provider promises to lose no commit.
 */
export type FailoverMode = 'confirm' | 'synchronous' | 'unchecked'

export type BoundHead = Pick<Head, 'server' | 'synchronous'>

/** Why the log must not continue on this server; undefined when it may. */
export function judgeServer(head: BoundHead, facts: ServerFacts, mode: FailoverMode): Doubt | undefined {
  if (mode === 'unchecked') return undefined
  if (facts.server === undefined) {
    return { kind: 'hidden', detail: 'log_server() returns null: a fail-over could not be detected', permanent: false }
  }
  if (mode === 'synchronous' && !facts.isSynchronous) {
    return { kind: 'asynchronous', detail: 'synchronous_standby_names is empty', permanent: false }
  }
  if (head.server === undefined || head.server === facts.server) return undefined
  if (mode === 'synchronous' && head.synchronous && isPromotion(head.server, facts.server)) return undefined
  return {
    kind: 'failover',
    detail: `the log was written on server ${head.server}, this is ${facts.server} (system identifier/timeline)`,
    permanent: false,
  }
}

/** A later timeline of the same system. */
function isPromotion(from: string, to: string): boolean {
  const [[system, timeline], [nextSystem, nextTimeline]] = [from.split('/'), to.split('/')]
  return system === nextSystem && Number(nextTimeline) > Number(timeline)
}

type Parts = {
  knex: Knex
  mode: FailoverMode
  now: () => Date
  randomBytes: (size: number) => Buffer
}

/** Returns a function that checks the server and binds the log to it when there is no doubt. */
export function createServerWatch(parts: Parts): (head: BoundHead) => Promise<Doubt | undefined> {
  const { knex, mode } = parts
  let isBound = false

  /** Records a change of server too. Otherwise a replica with another mode could bind the log to a new server without entry. */
  async function unbind(head: BoundHead): Promise<void> {
    if (head.server === undefined && !head.synchronous) return
    const { server } = await readServer(knex)
    if (head.server !== undefined && head.server !== server) {
      return acceptServer({ ...parts, from: head.server, to: server, basis: 'unchecked' })
    }
    // Once in a process, so that replicas with different modes do not alternate.
    if (!isBound) await unbindServer(knex)
  }

  return async (head) => {
    if (mode === 'unchecked') {
      await unbind(head)
      isBound = true
      return undefined
    }
    const facts = await readServer(knex)
    const doubt = judgeServer(head, facts, mode)
    if (doubt || facts.server === undefined) return doubt
    if (head.server !== undefined && head.server !== facts.server) {
      await acceptServer({ ...parts, from: head.server, to: facts.server, basis: 'synchronous' })
    }
    const synchronous = mode === 'synchronous'
    // A process withdraws `synchronous` once, so that replicas with different modes do not alternate.
    const isOtherMode = synchronous ? !head.synchronous : head.synchronous && !isBound
    if (head.server === undefined || isOtherMode) {
      await bindServer(knex, { server: facts.server, synchronous })
    }
    isBound = true
    return undefined
  }
}

type Acceptance = Omit<Parts, 'mode'> & {
  from: string
  /** Absent when the role may not read it. */
  to: string | undefined
  /** `unchecked`: unbinds the log from any server. */
  basis: 'synchronous' | 'accepted' | 'unchecked'
  reason?: string
}

/** Binds the log to another server, or to none, and records that. Does nothing when another replica has done so. */
export async function acceptServer(acceptance: Acceptance): Promise<void> {
  const { knex, now, randomBytes, from, to, basis, reason } = acceptance
  const facts = { action: 'log.failover' as const, time: now(), randomBytes, note: reason }
  await knex.transaction(async (tx) => {
    const head = await lockHead(tx)
    if (head.server !== from) return
    const entry = { detail: { from, ...(to !== undefined && { to }), basis, size: head.size } }
    const server = basis === 'unchecked' ? null : (to ?? null)
    await bindServer(tx, { server, synchronous: basis === 'synchronous' })
    const { verdicts } = await appendItems(tx, newBatchId(), head.epoch, sealSystem(facts, [entry]))
    if (verdicts.size > 0) throw refuse('issuing_closed')
  })
}
