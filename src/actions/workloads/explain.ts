/** Explains why a workload is granted or refused. It runs the code that decides, issues nothing, and is itself recorded. */
import { type Attestors, type Proof, joinTokenKind } from '../../attest/attest.ts'
import type { LogEntry, SelectorRecord } from '../../audit/entry.ts'
import { findRecorded } from '../../audit/find-entries.ts'
import type { Release } from '../../audit/record.ts'
import { blockOf } from '../../authorize/blocks.ts'
import type { Caller } from '../../authorize/caller.ts'
import { type Explanation, explain } from '../../authorize/explain.ts'
import { openSession } from '../../authorize/session.ts'
import { Refusal, type RefusalCode, type RefusalInfo, refuse } from '../../errors.ts'
import type { Keys } from '../../keys/keys.ts'
import { NameError } from '../../names/errors.ts'
import { type Selectors, createSelectors } from '../../names/selectors.ts'
import { untilReleased } from '../../store/blocks.ts'
import type { Database } from '../../store/database.ts'
import { byName } from '../../store/registrations.ts'
import type { BlockRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { isActorWithin } from '../log/visible.ts'
import { checkAccount, checkPinned } from '../credentials/accounts.ts'
import { factsOf } from '../credentials/decide.ts'

/** A recorded request, a proof, or facts. `workload` is the entry that the workload names. */
type ExplainRequest = {
  requestId?: string
  proof?: Proof
  attestor?: string
  selectors?: SelectorRecord
  workload?: string
}

export type Explained = Explanation & {
  attestor?: string
  selectors?: SelectorRecord
  sessionExpiresAt?: Date
  /** The proof has a limited number of uses. Only the append can tell whether it is spent. */
  countedProof?: boolean
  /** The entry that grants now what was refused then. */
  grantedSinceBy?: string
}

type Attested = Pick<Explained, 'attestor' | 'selectors'>

export type ExplainParts = {
  attestors: Pick<Attestors, 'attest'>
  keys: Pick<Keys, 'signing'>
  db: Pick<Database, 'knex'>
}

export type ExplainWorkload = (
  context: Pick<Context, 'caller' | 'time'>,
  snapshot: Snapshot,
  request: ExplainRequest,
) => Promise<Release<Explained>>

export function createExplainWorkload({ attestors, keys, db }: ExplainParts): ExplainWorkload {
  async function explainProof(
    proof: Proof,
    workload: string | undefined,
    snapshot: Snapshot,
    now: Date,
  ): Promise<Explained> {
    let caller: Attested = {}
    let explanation: Explanation | undefined
    try {
      const attested = await attestors.attest(snapshot, { proof }, now)
      caller = { attestor: attested.attestor.name, selectors: { ...attested.selectors } }
      explanation = explain(snapshot, factsOf(attested), workload)
      const { recreated } = checkAccount(snapshot, attested)
      if (explanation.outcome === 'refused') return { ...explanation, ...caller }
      const { decision } = explanation
      checkPinned(decision.entry, recreated)
      const { key } = keys.signing(snapshot, 'mac', now)
      const session = openSession(decision, attested, { key, epoch: snapshot.epoch }, now)
      refuseBlocked(blockOf(snapshot, session, now))
      const countedProof = attested.singleUse !== undefined || attested.joinToken !== undefined
      return { ...explanation, ...caller, countedProof, sessionExpiresAt: session.expiresAt }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const { attestor } = error.info
      const { entries = [], more = 0 } = explanation ?? {}
      return {
        ...(attestor !== undefined && { attestor }),
        ...caller,
        ...refused(error.code, error.info),
        entries,
        more,
      }
    }
  }

  /** No token has to be sent to an operator: the log has the refusal and its facts. */
  async function explainRecorded(
    caller: Caller,
    requestId: string,
    workload: string | undefined,
    snapshot: Snapshot,
  ): Promise<Explained> {
    const entries = await findRecorded(db.knex, [`requestId=${requestId}`], 10)
    const entry = entries.find(({ outcome }) => outcome === 'refused') ?? entries[0]
    // Requests of operators and auditors are in the audit log, for readers of that log.
    const { kind, operatorRole } = entry?.actor ?? {}
    const isOfWorkload = (kind === 'workload' && operatorRole === undefined) || kind === 'anonymous'
    if (!entry || !isOfWorkload || !isActorWithin(entry, caller, snapshot)) {
      const detail =
        'no refusal of a workload is recorded under this id; of strangers beyond the limits only their number is'
      throw refuse('not_found', { detail })
    }
    return explainSince(entry, workload, snapshot)
  }

  async function explained(
    { caller, time }: Pick<Context, 'caller' | 'time'>,
    snapshot: Snapshot,
    request: ExplainRequest,
  ) {
    const { requestId, proof, attestor = '', selectors = {}, workload } = request
    if (requestId !== undefined) return explainRecorded(caller, requestId, workload, snapshot)
    if (proof) return explainProof(proof, workload, snapshot, time)
    return explainSelectors(attestor, selectors, workload, snapshot)
  }

  return async (context, snapshot, request) => {
    const result = await explained(context, snapshot, request)
    const { outcome, attestor, selectors } = result
    return {
      result,
      entry: {
        detail: {
          outcome,
          ...(result.outcome === 'refused' && { reason: result.reason }),
          ...(request.requestId !== undefined && { requestId: request.requestId }),
          ...(attestor !== undefined && { attestor }),
          ...(selectors && { selectors }),
        },
      },
      // The explanation is of that moment, and releases nothing that a change could revoke.
      holds: () => true,
      whileClosed: true,
    }
  }
}

const refused = (reason: RefusalCode, info: RefusalInfo) => ({ outcome: 'refused' as const, reason, info })

function refuseBlocked(block: BlockRow | undefined): void {
  if (!block) return
  const { kind, at, until, revocation } = block
  const explanation = {
    by: kind,
    since: at.toISOString(),
    ...(until < untilReleased && { until: until.toISOString() }),
    ...(revocation && { revocation }),
  }
  throw refuse('blocked', { explanation })
}

function explainSelectors(
  name: string,
  record: SelectorRecord,
  workload: string | undefined,
  snapshot: Snapshot,
): Explained {
  const attestor = byName(snapshot.attestors, name)
  if (!attestor) throw impossible('/attestor', 'there is no attestor of that name')
  if (attestor.kind === joinTokenKind) {
    throw impossible('/attestor', 'a join token names its entry by itself: explain the token, or the request')
  }
  const selectors = readSelectors(record)
  return { attestor: name, selectors: { ...selectors }, ...explain(snapshot, { attestor, selectors }, workload) }
}

function readSelectors(record: SelectorRecord): Selectors {
  try {
    return createSelectors(Object.entries(record))
  } catch (error) {
    if (!(error instanceof NameError)) throw error
    throw impossible('/selectors', error.detail)
  }
}

/** The recorded refusal with its true reason, and what the registrations decide on the same facts today. */
function explainSince(
  { outcome, reason, actor, detail }: LogEntry,
  workload: string | undefined,
  snapshot: Snapshot,
): Explained {
  const { attestor: name, attestorId, selectors } = actor
  const caller: Attested = { ...(name !== undefined && { attestor: name }), ...(selectors && { selectors }) }
  const attestor = attestorId === undefined ? undefined : snapshot.attestors.get(attestorId)
  const now =
    attestor && selectors && attestor.kind !== joinTokenKind
      ? explain(snapshot, { attestor, selectors: readSelectors(selectors) }, workload ?? actor.workload)
      : undefined
  if (outcome !== 'refused' || reason === undefined) {
    if (now) return { ...caller, ...now }
    throw refuse('not_found', { detail: 'this request was not refused' })
  }
  const isGrantedNow = now?.outcome === 'granted' && byEntries.has(reason)
  const { entries = [], more = 0 } = now ?? {}
  return {
    ...caller,
    ...refused(reason, detail === undefined ? {} : { explanation: detail }),
    entries,
    more,
    ...(isGrantedNow && { grantedSinceBy: now.decision.entry.row.name }),
  }
}

/** Refusals that workload entries alone decide. */
const byEntries = new Set<RefusalCode>(['no_workload', 'workload_disabled', 'several_workloads', 'template_value'])

const impossible = (pointer: string, detail: string): Error => refuse('impossible', { errors: [{ pointer, detail }] })
