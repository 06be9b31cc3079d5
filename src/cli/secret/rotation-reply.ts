/** Formats rotations and consumers. */
import type { Schemas } from '../api-types.ts'
import { actorName, minute, table } from '../output.ts'

type Rotation = Schemas['Rotation']
type SecretRotation = Schemas['SecretRotation']
type Consumer = Schemas['Consumer']

const line = (name: string, value: string | undefined): string[][] => (value === undefined ? [] : [[name, value]])

const versions = ({ fromVersion, toVersion, rollbackTo }: Rotation): string =>
  `${fromVersion} → ${toVersion}${rollbackTo === undefined ? '' : ` (the value of ${rollbackTo})`}`

function activity({ retiring, undoing }: Rotation): string {
  if (retiring !== undefined) return ', retiring earlier versions'
  return undoing ? ', cancelled: restoring the live value at the target' : ''
}

export function formatRotation(view: SecretRotation): string {
  const { path, version, policy, nextAt, overdue, rotation, waitingFor } = view
  const schedule = policy?.schedule && `${policy.schedule.cron} (${policy.schedule.timeZone ?? 'UTC'})`
  const about = [
    ['secret', `${path}, version ${version}`],
    ...line('rotator', policy?.rotator.kind ?? 'none: values are supplied'),
    ...line('schedule', schedule),
    ...line('next', nextAt && `${minute(nextAt)}${overdue ? ', OVERDUE: it is blocked' : ''}`),
  ]
  if (!rotation) return table([...about, ['rotation', 'none yet']])
  const { state, requestedBy, deadlineAt, onDeadline, attempts, lastError, nextAttemptAt, endedAt } = rotation
  return table([
    ...about,
    ['rotation', `${rotation.id}, ${versions(rotation)}, by ${actorName(requestedBy)}`],
    ['state', `${state}${activity(rotation)}`],
    ...line('ended', endedAt && minute(endedAt)),
    ...line('waits for', waitingFor === undefined ? undefined : `${waitingFor} of its consumers`),
    ...line('deadline', deadlineAt && endedAt === undefined ? `${minute(deadlineAt)}, then ${onDeadline}` : undefined),
    ...line('excused', rotation.excused?.join(', ')),
    ...line('last error', lastError && (endedAt === undefined ? `${lastError} (attempt ${attempts})` : lastError)),
    ...line('next attempt', lastError === undefined ? undefined : nextAttemptAt && minute(nextAttemptAt)),
  ])
}

const consumerState = ({ moved, excused, waitedFor, standing }: Consumer): string => {
  if (waitedFor) return 'waited for'
  if (moved) return 'moved'
  return excused ? 'excused' : standing
}

/** Consumers that a rotation waits for come first. */
export function consumerTable(items: readonly Consumer[]): string {
  const rows = items.toSorted((a, b) => Number(b.waitedFor) - Number(a.waitedFor) || a.version - b.version)
  return table(
    rows.map((row) => [
      actorName(row.holder),
      row.pod ?? row.job ?? row.workload ?? '',
      row.address ?? '',
      String(row.version),
      consumerState(row),
      minute(row.fetchedAt),
      row.acknowledgedAt === undefined ? '' : minute(row.acknowledgedAt),
      row.aliveUntil === undefined ? row.standing : minute(row.aliveUntil),
      row.watching ? 'yes' : 'no',
    ]),
    ['HOLDER', 'POD OR JOB', 'ADDRESS', 'VERSION', 'STATE', 'FETCHED', 'ACKNOWLEDGED', 'ALIVE UNTIL', 'WATCHING'],
  )
}

export const rotationTable = (items: readonly Rotation[]): string =>
  table(
    items.map((item) => [
      item.path ?? '',
      item.state,
      versions(item),
      item.deadlineAt === undefined ? '' : `${minute(item.deadlineAt)} ${item.onDeadline}`,
      item.lastError === undefined ? '' : `${item.lastError} (attempt ${item.attempts})`,
    ]),
    ['PATH', 'STATE', 'VERSIONS', 'DEADLINE', 'LAST ERROR'],
  )
