/** Every background job of one process, in the order in which a run of all of them looks at the world. */
import { type KeyRotationParts, keyRotation } from './jobs/key-rotation.ts'
import { type LeaseJobParts, leaseJob } from './jobs/leases.ts'
import { type OrphanRolesParts, orphanRoles } from './jobs/orphan-roles.ts'
import { type RotationJobParts, rotation } from './jobs/rotation.ts'
import { type Job, type Jobs, startJobs } from './jobs/runner.ts'
import { type SharedKeysParts, sharedKeys } from './jobs/shared-keys.ts'
import { type StagedAdminParts, stagedAdmins } from './jobs/staged-admins.ts'
import { type SweepParts, sweep } from './jobs/sweep.ts'
import type { Metrics } from './telemetry/metrics.ts'

export type BackgroundParts = KeyRotationParts &
  SharedKeysParts &
  RotationJobParts &
  LeaseJobParts &
  OrphanRolesParts &
  StagedAdminParts &
  SweepParts & {
    /** Keeps the listeners' certificate. */
    listener: Job
    metrics: Pick<Metrics, 'jobRan' | 'leases'> & RotationJobParts['metrics']
  }

/** For the metrics, whose labels are closed. */
export const jobNames = [
  'key-rotation',
  'listener-certificate',
  'rotation',
  'leases',
  'orphan-roles',
  'staged-admins',
  'shared-keys',
  'sweep',
] as const

export function startBackground(parts: BackgroundParts): Jobs {
  const { log, listener, metrics } = parts
  const list = [
    keyRotation(parts),
    listener,
    rotation(parts),
    leaseJob(parts),
    orphanRoles(parts),
    stagedAdmins(parts),
    sharedKeys(parts),
    sweep(parts),
  ]
  return startJobs(list, {
    clock: () => performance.now(),
    onRun: (job, error) => {
      metrics.jobRan(job, error === undefined ? 'done' : 'failed')
      if (error !== undefined) log.warn('job.failed', { job, err: error })
    },
  })
}
