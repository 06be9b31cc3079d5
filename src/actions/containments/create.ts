/**
 * Contains a caller. The block is a change of its own: its entry is the cut, and no later entry was decided without it. The
 * rest is the work of carry-out.ts.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Change, Changed, Recorded } from '../../audit/record.ts'
import { boundOf } from '../../authorize/caller.ts'
import { snapshotFor } from '../../authorize/scope.ts'
import { newId } from '../../names/id.ts'
import { insertBlocks, lockRevocations } from '../../store/blocks.ts'
import { insertItems } from '../../store/containment-items.ts'
import {
  type ContainmentMatch,
  type ContainmentRow,
  type Subject,
  insertContainment,
  setCut,
} from '../../store/containments.ts'
import type { Database, Knex } from '../../store/database.ts'
import { readHead } from '../../store/log.ts'
import type { Snapshot, Snapshots } from '../../store/snapshot.ts'
import { endBootstrapTokenOf, revokeApiToken } from '../../store/tokens.ts'
import type { Logger } from '../../telemetry/log.ts'
import { type Acting, type Context, checkReason, operatorName } from '../context.ts'
import { type IdempotencyParts, once } from '../idempotency.ts'
import { changedRows } from '../operators/state.ts'
import { containedOperator, disableContained, endApprovals, namedTokens, revocableTokens } from './api-tokens.ts'
import type { CarryOut } from './carry-out.ts'
import type { Report } from './report.ts'
import { blockFor, subjectOf } from './subject.ts'
import { reachableBy, surveyOf } from './survey.ts'
import { reportWithin } from './within.ts'

export type ContainmentRequest = { match: ContainmentMatch; since?: string; rotate?: boolean; dryRun?: boolean }

/** A dry run has neither id nor cut. */
export type Contained = {
  row: Omit<ContainmentRow, 'id' | 'epoch' | 'cut' | 'state'> & Partial<ContainmentRow>
  report: Report
  /** The place of the entry that a repeated request repeats. */
  place?: string
}

export type CreateParts = IdempotencyParts & {
  db: Pick<Database, 'knex'>
  snapshots: Pick<Snapshots, 'current'>
  carryOut: CarryOut
  logger: Pick<Logger, 'warn'>
  now: () => Date
  randomBytes: (size: number) => Buffer
}

const reasonNeeded = 'must say why the caller is contained: it goes into the log'
/** How long the reply waits for the work. */
const patienceMs = 3000

type New = Omit<ContainmentRow, 'id' | 'epoch' | 'cut' | 'state'>

async function newContainment(
  context: Context,
  knex: Knex,
  snapshot: Snapshot,
  { match, since, rotate = true }: ContainmentRequest,
): Promise<New> {
  const named = await subjectOf(context, knex, snapshot, match)
  const { caller } = context
  const bound = boundOf(caller)
  const isSpared = named.kind === 'apiTokens' && caller.kind === 'operator' && !caller.session
  const subject: Subject = {
    ...named,
    ...(isSpared && { spared: caller.tokenId }),
    ...(bound && { bound }),
  }
  const kind = blockFor(subject, '', context.time)?.kind
  return {
    match,
    subject,
    ...(since !== undefined && { since: new Date(since) }),
    rotate,
    requestedBy: operatorName(context),
    requestId: context.requestId,
    createdAt: context.time,
    ...(kind && { blocks: kind }),
    reachable: await reachableBy(knex, snapshot, subject, context.time),
  }
}

export function createCreate(parts: CreateParts) {
  const { db, snapshots, carryOut, logger, randomBytes } = parts

  async function plan(context: Context, { begin }: Acting, request: ContainmentRequest): Promise<Recorded<Contained>> {
    const snapshot = snapshotFor(context.caller, snapshots.current())
    const row = await newContainment(context, db.knex, snapshot, request)
    const tokens = namedTokens(snapshot, row.subject, context.time)
    const head = await readHead(db.knex)
    const planned = { ...row, epoch: head?.epoch ?? 1, cut: head?.size ?? 0 }
    const { created, ...survey } = await surveyOf(db.knex, planned, context.time)
    const apiTokens = tokens.length + revocableTokens(snapshot, created, context.time).length
    const whole = { ...survey, counts: new Map([...survey.counts, ['apiToken' as const, apiTokens]]) }
    const report = reportWithin(whole, context, snapshot)
    return begin(async () => ({
      result: { row, report },
      entry: {
        resource: { kind: 'containment', id: 'dry-run' },
        detail: { dryRun: true, match: request.match, found: Object.fromEntries(report.counts) },
      },
    }))
  }

  async function block(
    context: Context,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    request: ContainmentRequest,
  ): Promise<Change<{ id: string; place?: string }>> {
    const { time } = context
    const row = await newContainment(context, tx, snapshot, request)
    const id = newId('con', randomBytes)
    const tokens = namedTokens(snapshot, row.subject, time)
    await lockRevocations(tx)
    await insertContainment(tx, { ...row, id, state: 'revoking' })
    const blocked = blockFor(row.subject, newId('blk', randomBytes), time)
    if (blocked) await insertBlocks(tx, id, [blocked])
    for (const token of tokens) {
      await revokeApiToken(tx, token.id, time)
      await endBootstrapTokenOf(tx, token.id, time)
    }
    const operator = containedOperator(snapshot, row.subject)
    if (operator) await disableContained(tx, operator, time)
    const withdrawnApprovals = await endApprovals(tx, row.subject, time)
    const tokenIds = tokens.map((token) => token.id)
    await insertItems(
      tx,
      id,
      tokenIds.map((name) => ({ kind: 'apiToken', name })),
    )
    const { match, since, blocks } = row
    return {
      result: { id },
      entry: {
        resource: { kind: 'containment', id },
        change: { after: { match, ...(since && { since: since.toISOString() }), ...(blocks && { blocks }) } },
        ...(tokenIds.length > 0 && { revoked: { apiTokens: tokenIds } }),
        ...((operator || withdrawnApprovals.length > 0) && {
          detail: {
            ...(operator && { disabled: operator.name }),
            ...(operator?.passwordAt && { passwordRemoved: true }),
            ...(operator?.passkeys && { removedPasskeys: operator.passkeys }),
            ...(withdrawnApprovals.length > 0 && { withdrawnApprovals }),
          },
        }),
      },
      changed: [
        ...(blocked ? [{ table: 'block', where: { revocation: id } } satisfies Changed] : []),
        ...(operator ? changedRows(operator) : []),
        ...tokenIds.map((token): Changed => ({ table: 'api_token', where: { id: token } })),
      ],
      placed: (epoch, index) => setCut(tx, id, epoch, index),
    }
  }

  /** @throws Refusal `not_found` where nothing was issued to the subject, `conflict` for the last admin token */
  return async (
    context: Context & { operation: string; params: Readonly<Record<string, string>> },
    acting: Acting,
    request: ContainmentRequest,
    show: (id: string) => Promise<Contained>,
  ): Promise<Recorded<Contained>> => {
    checkReason(context, reasonNeeded)
    if (request.dryRun) return plan(context, acting, request)
    const recorded = await acting.begin((tx, snapshot) => {
      const perform = () => block(context, tx, snapshot, request)
      const { idempotencyKey } = context
      if (idempotencyKey === undefined) return perform()
      return once<{ id: string; place?: string }>(parts, { ...context, idempotencyKey, body: request }, tx, snapshot, {
        perform,
        statusOf: () => 201,
        again: async (id, { place }) => ({ id, place }),
      })
    })
    const { id, place } = recorded.result
    const work = carryOut(id).catch((err: unknown) => logger.warn('containment.delayed', { note: id, err }))
    await Promise.race([work, pause(patienceMs, undefined, { ref: false })])
    return { ...recorded, result: { ...(await show(id)), ...(place !== undefined && { place }) } }
  }
}
