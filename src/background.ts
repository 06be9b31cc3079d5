/** Every background job of one process, in the order in which a run of all of them looks at the world. */
import { type KeyRotationParts, keyRotation } from './jobs/key-rotation.ts'
import { type RotationJobParts, rotation } from './jobs/rotation.ts'
import { type Job, type Jobs, startJobs } from './jobs/runner.ts'
import { type SharedKeysParts, sharedKeys } from './jobs/shared-keys.ts'
import { type SweepParts, sweep } from './jobs/sweep.ts'
import type { Metrics } from './telemetry/metrics.ts'

export type BackgroundParts = KeyRotationParts &
  SharedKeysParts &
  RotationJobParts &
  SweepParts & {
    /** Keeps the listeners' certificate. */
    listener: Job
    metrics: Pick<Metrics, 'jobRan'> & RotationJobParts['metrics']
  }

/** For the metrics, whose labels are closed. */
export const jobNames = ['key-rotation', 'listener-certificate', 'rotation', 'shared-keys', 'sweep'] as const

export function startBackground(parts: BackgroundParts): Jobs {
  const { log, listener, metrics } = parts
  return startJobs([keyRotation(parts), listener, rotation(parts), sharedKeys(parts), sweep(parts)], {
    clock: () => performance.now(),
    onRun: (job, error) => {
      metrics.jobRan(job, error === undefined ? 'done' : 'failed')
      if (error !== undefined) log.warn('job.failed', { job, err: error })
    },
  })
}
