/** Why something is granted or refused. It runs the code that decides, issues nothing, and is itself recorded. */
import { type Attestors, type Proof, joinTokenKind } from '../attest/attest.ts'
import type { LogEntry } from '../audit/entry.ts'
import type { Facts } from '../authorize/decide.ts'
import { type Considered, explain } from '../authorize/explain.ts'
import { blockOf } from '../authorize/blocks.ts'
import { openSession } from '../authorize/session.ts'
import { Refusal, type RefusalCode, refuse } from '../errors.ts'
import type { Keys } from '../keys/keys.ts'
import { NameError } from '../names/errors.ts'
import { createSelectors } from '../names/selectors.ts'
import { untilReleased } from '../store/blocks.ts'
import type { Database } from '../store/database.ts'
import { byName } from '../store/registrations.ts'
import type { BlockRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { checkPinned, judgeAccount } from '../actions/credentials/account-pins.ts'
import { type About, explanationView, refusedView } from './explain-view.ts'
import { factsOf } from '../actions/credentials/facts.ts'
import { findRecorded } from '../audit/find-entries.ts'
import { bodyOf, json } from './request.ts'
import type { Issue } from './route.ts'

export type ExplainParts = {
  attestors: Pick<Attestors, 'attest'>
  keys: Pick<Keys, 'signing'>
  db: Pick<Database, 'knex'>
}

type View = ReturnType<typeof explanationView>

export function createExplain({ attestors, keys, db }: ExplainParts): Issue {
  async function byProof(proof: Proof, named: string | undefined, snapshot: Snapshot, now: Date): Promise<View> {
    let about: About = {}
    let entries: Considered[] = []
    try {
      const attested = await attestors.attest(snapshot, { proof }, now)
      about = { attestor: attested.attestor.name, selectors: { ...attested.selectors } }
      const explanation = explain(snapshot, factsOf(attested), named)
      entries = explanation.entries
      const { recreated } = judgeAccount(snapshot, attested)
      if (explanation.outcome === 'refused') return explanationView(about, explanation)
      checkPinned(explanation.decision.entry, recreated)
      const { key } = keys.signing(snapshot, 'mac', now)
      const session = openSession(explanation.decision, attested, { key, epoch: snapshot.epoch }, now)
      refuseBlocked(blockOf(snapshot, session, now))
      const counted = attested.once !== undefined || attested.joinToken !== undefined
      return explanationView({ ...about, counted, sessionExpiresAt: session.expiresAt }, explanation)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { attestor } = error.info
      return refusedView(
        { ...(attestor !== undefined && { attestor }), ...about },
        { reason: error.code, info: error.info },
        entries,
      )
    }
  }

  /** Nobody needs to paste a token to an operator: the log knows what was refused, and with which facts. */
  async function byRecord(requestId: string, named: string | undefined, snapshot: Snapshot): Promise<View> {
    const entries = await findRecorded(db.knex, [`requestId=${requestId}`], 10)
    const entry = entries.find((entry) => entry.outcome === 'refused') ?? entries[0]
    // What operators and auditors did is told by the audit log, to those who may read it.
    if (!entry || (entry.actor.kind !== 'workload' && entry.actor.kind !== 'anonymous')) {
      const detail =
        'no refusal of a workload is recorded under this id; of strangers beyond the limits only their number is'
      throw refuse('not_found', { detail })
    }
    return sinceThen(entry, named, snapshot)
  }

  return async (request, snapshot) => {
    const { requestId, proof, attestor, selectors, workload } = bodyOf(request, 'explainWorkload')
    let view: View
    if (requestId !== undefined) view = await byRecord(requestId, workload, snapshot)
    else if (proof) view = await byProof(proof, workload, snapshot, request.time)
    else view = bySelectors(attestor ?? '', selectors ?? {}, workload, snapshot)
    const { outcome } = view
    return {
      result: json(view),
      entry: {
        detail: {
          outcome,
          ...('reason' in view && { reason: view.reason }),
          ...(requestId !== undefined && { requestId }),
          ...(view.attestor !== undefined && { attestor: view.attestor }),
          ...(view.selectors && { selectors: view.selectors }),
        },
      },
      // What was explained was so then; nothing was given out that a change could take back.
      holds: () => true,
      whileClosed: true,
    }
  }
}

function refuseBlocked(block: BlockRow | undefined): void {
  if (!block) return
  const { kind, at, until, revocation } = block
  const end = until < untilReleased ? until.toISOString() : undefined
  const explanation = {
    by: kind,
    since: at.toISOString(),
    ...(end && { until: end }),
    ...(revocation && { revocation }),
  }
  throw refuse('blocked', { explanation })
}

function bySelectors(
  name: string,
  given: Readonly<Record<string, string | string[]>>,
  named: string | undefined,
  snapshot: Snapshot,
): View {
  const attestor = byName(snapshot.attestors, name)
  if (!attestor) throw impossible('/attestor', 'there is no attestor of that name')
  if (attestor.kind === joinTokenKind) {
    throw impossible('/attestor', 'a join token names its entry by itself: explain the token, or the request')
  }
  const facts: Facts = { attestor, selectors: readSelectors(given) }
  return explanationView({ attestor: name, selectors: { ...facts.selectors } }, explain(snapshot, facts, named))
}

function readSelectors(given: Readonly<Record<string, string | string[]>>): Facts['selectors'] {
  try {
    return createSelectors(Object.entries(given))
  } catch (error) {
    if (!(error instanceof NameError)) throw error
    throw impossible('/selectors', error.detail)
  }
}

/** The recorded refusal with its true reason, and what the registrations say to the same facts today. */
function sinceThen({ outcome, reason, actor, detail }: LogEntry, named: string | undefined, snapshot: Snapshot): View {
  const { attestor: name, attestorId, selectors } = actor
  const about: About = { ...(name !== undefined && { attestor: name }), ...(selectors && { selectors }) }
  const attestor = attestorId === undefined ? undefined : snapshot.attestors.get(attestorId)
  const now =
    attestor && selectors && attestor.kind !== joinTokenKind
      ? explain(snapshot, { attestor, selectors: readSelectors(selectors) }, named ?? actor.workload)
      : undefined
  if (outcome !== 'refused' || reason === undefined) {
    if (now) return explanationView(about, now)
    throw refuse('not_found', { detail: 'this request was not refused' })
  }
  const info = detail === undefined ? {} : { info: { explanation: detail } }
  const then = refusedView(about, { reason, ...info }, now?.entries, now?.more)
  if (now?.outcome !== 'granted' || !byEntries.has(reason)) return then
  return {
    ...then,
    next: `let it ask again: the entry ${now.decision.entry.row.name} was changed since, and grants it`,
  }
}

/** Refusals that workload entries alone decide. */
const byEntries = new Set<RefusalCode>(['no_workload', 'workload_disabled', 'several_workloads', 'template_value'])

const impossible = (pointer: string, detail: string): Error => refuse('impossible', { errors: [{ pointer, detail }] })
