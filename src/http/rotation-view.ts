/** The views of rotations and consumers. */
import type { SecretRotation } from '../actions/rotations/state.ts'
import type { ListedConsumer } from '../actions/secrets/consumers.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { lateMs, planOf, policyOf } from '../secrets/rotation/policy.ts'
import type { SelectorRecord } from '../audit/entry.ts'
import type { RotationRow } from '../store/rotations.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { timeMember } from './times.ts'

export function showRotation(row: RotationRow) {
  const { deadlineSeconds, onDeadline, moved, rollbackTo, retiring, undoing } = planOf(row)
  return {
    id: row.id,
    state: row.state,
    rotator: row.rotator,
    fromVersion: row.fromVersion,
    toVersion: row.toVersion,
    ...(rollbackTo !== undefined && { rollbackTo }),
    requestedBy: row.requestedBy,
    deadlineSeconds,
    onDeadline,
    moved,
    ...timeMember('deadlineAt', row.deadlineAt),
    ...(row.excused.length > 0 && { excused: row.excused }),
    ...(retiring && { retiring: retiring.why }),
    ...(undoing && { undoing }),
    attempts: row.attempts,
    ...(row.lastError !== undefined && { lastError: row.lastError }),
    ...(row.endedAt === undefined && timeMember('nextAttemptAt', row.nextAttemptAt)),
    startedAt: rfc3339(row.startedAt),
    ...timeMember('endedAt', row.endedAt),
  }
}

export const showSecretRotation = (
  { secret, policy, rotations: [last, ...before], waitingFor }: SecretRotation,
  now: Date,
) => ({
  path: secret.path,
  version: secret.version,
  revision: policy?.revision ?? 0,
  ...(policy && { policy: policyOf(policy), ...timeMember('nextAt', policy.nextAt) }),
  ...(policy?.nextAt && now.getTime() - policy.nextAt.getTime() >= lateMs && { overdue: true }),
  ...(last && { rotation: showRotation(last) }),
  ...(waitingFor !== undefined && { waitingFor }),
  history: before.map(showRotation),
})

/** The selectors that name the run or job of a pipeline. */
const jobKeys = ['github:run-id', 'gitlab:job-id', 'oidc:run_id', 'oidc:job_id']

const first = (selectors: SelectorRecord, keys: readonly string[]): string | undefined =>
  keys.map((key) => selectors[key]).find((value) => typeof value === 'string')

function podOf(selectors: SelectorRecord): string | undefined {
  const [namespace, name] = [first(selectors, ['k8s:ns']), first(selectors, ['k8s:pod-name'])]
  return namespace !== undefined && name !== undefined ? `${namespace}/${name}` : undefined
}

export function showConsumer(consumer: ListedConsumer, snapshot: Pick<Snapshot, 'workloads'>, watching: boolean) {
  const { holder, session, newest, standing, until, moved, excused, waitedFor, address } = consumer
  const workload = session && snapshot.workloads.get(session.workloadId)?.name
  const [pod, job] = session ? [podOf(session.selectors), first(session.selectors, jobKeys)] : []
  return {
    holder,
    standing,
    ...(session && { session: session.id, spiffeId: session.spiffeId, selectors: session.selectors }),
    ...(workload !== undefined && { workload }),
    ...(pod !== undefined && { pod }),
    ...(job !== undefined && { job }),
    ...(address !== undefined && { address }),
    version: newest.version,
    fetchedAt: rfc3339(newest.fetchedAt),
    ...timeMember('acknowledgedAt', newest.ackedAt),
    ...timeMember('aliveUntil', until),
    watching,
    moved,
    excused,
    waitedFor,
  }
}
