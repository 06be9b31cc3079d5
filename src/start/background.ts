/** The background jobs of one process, in the order of a run of all of them. */
import { byTime } from '../jobs/clock.ts'
import { type ContainmentJobParts, containments } from '../jobs/containments.ts'
import { idleSessions } from '../jobs/idle-sessions.ts'
import { type KeyRotationParts, keyRotation } from '../jobs/key-rotation.ts'
import { type KeyringRotationParts, keyringRotation } from '../jobs/keyring-rotation.ts'
import { type LeaseJobParts, leaseJob } from '../jobs/leases.ts'
import { orphanRoles } from '../jobs/orphan-roles.ts'
import { type RewrapParts, rewrap } from '../jobs/rewrap.ts'
import type { RotationJobParts } from '../jobs/rotation-attempt.ts'
import { rotation } from '../jobs/rotation.ts'
import { type Job, type Jobs, startJobs } from '../jobs/runner.ts'
import { secretSweep } from '../jobs/secret-sweep.ts'
import { sharedKeys } from '../jobs/shared-keys.ts'
import { stagedAdmins } from '../jobs/staged-admins.ts'
import { type SweepParts, sweep } from '../jobs/sweep.ts'
import type { AdminParts } from '../secrets/databases/admin.ts'
import type { Metrics } from '../telemetry/metrics.ts'

export type BackgroundParts = KeyRotationParts &
  KeyringRotationParts &
  RewrapParts &
  RotationJobParts &
  LeaseJobParts &
  AdminParts &
  ContainmentJobParts &
  SweepParts & {
    /** Renews the listeners' certificate. */
    listener: Job
    /** Whether jobs may end anything by its time (jobs/clock.ts). */
    mayEnd: () => Promise<boolean>
    metrics: Pick<Metrics, 'jobRan' | 'leases' | 'valuesLeft'> & RotationJobParts['metrics']
  }

/** The closed set of labels for metrics. */
export const jobNames = [
  'containments',
  'idle-sessions',
  'key-rotation',
  'keyring-rotation',
  'listener-certificate',
  'rewrap',
  'rotation',
  'leases',
  'orphan-roles',
  'staged-admins',
  'secret-sweep',
  'shared-keys',
  'sweep',
] as const

export function startBackground(parts: BackgroundParts): Jobs {
  const { log, listener, metrics, mayEnd } = parts
  const keys = [keyRotation(parts), keyringRotation(parts), rewrap(parts)]
  // Orphan roles first: the lease job removes them in the same run.
  const leases = [orphanRoles(parts), leaseJob(parts), stagedAdmins(parts)]
  const sweeps = [idleSessions(parts), sweep(parts), secretSweep(parts)]
  const endings = [rotation(parts), ...leases, ...sweeps].map((job) => byTime(job, mayEnd))
  // Containments first: the other jobs end and rotate what they begin to.
  return startJobs([containments(parts), ...keys, listener, ...endings, sharedKeys(parts)], {
    clock: () => performance.now(),
    onRun: (job, error) => {
      metrics.jobRan(job, error === undefined ? 'done' : 'failed')
      if (error !== undefined) log.warn('job.failed', { job, err: error })
    },
  })
}
