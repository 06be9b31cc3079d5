/** Containments in replies. */
import type { Contained } from '../actions/containments/create.ts'
import type { NeedsHands, RotatingSecret } from '../actions/containments/report.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { ContainedLease, Item } from '../store/containment-items.ts'
import type { ContainmentRow } from '../store/containments.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { timeMember } from './times.ts'

type Row = Contained['row']

export const showSummary = (row: Row) => ({
  ...(row.id !== undefined && { id: row.id }),
  match: row.match,
  ...timeMember('since', row.since),
  state: row.state ?? 'planned',
  ...(row.epoch !== undefined && row.cut !== undefined && { cut: { epoch: row.epoch, index: row.cut } }),
  requestedBy: row.requestedBy,
  requestId: row.requestId,
  createdAt: rfc3339(row.createdAt),
  ...timeMember('completedAt', row.completedAt),
  ...timeMember('releasedAt', row.releasedAt),
  ...(row.releasedBy !== undefined && { releasedBy: row.releasedBy }),
})

export function showContainment({ row, report }: Contained, { databases }: Pick<Snapshot, 'databases'>) {
  const { counts, leases, alsoAffected, rotating, needsHands, lasting } = report
  const count = (kind: Item['kind']): number => counts.get(kind) ?? 0
  const showLease = ({ id, databaseId, username, state }: ContainedLease) => ({
    id,
    database: databases.get(databaseId)?.name ?? databaseId,
    username,
    state,
  })
  return {
    ...showSummary(row),
    ...(row.blocks && { blocks: row.blocks }),
    revoked: {
      certificates: count('certificate'),
      jwts: count('jwt'),
      accessTokens: count('accessToken'),
      sessions: count('session'),
      apiTokens: count('apiToken'),
    },
    leases: leases.map(showLease),
    alsoAffected: { sessions: alsoAffected },
    reachable: row.reachable,
    rotating: rotating satisfies RotatingSecret[],
    needsHands: needsHands satisfies NeedsHands[],
    outOfReach: lasting.flatMap(showLasting),
  }
}

function showLasting({ kind, name, until, detail }: Item): Record<string, string>[] {
  const end = timeMember('until', until)
  if (kind === 'certificate') return [{ serialNumber: name, ...end }]
  return (detail?.audience ?? []).map((audience) => ({ jwt: name, audience, ...end }))
}

/** A key that orders the newest containment first. */
export const newestFirst = ({ id, createdAt }: ContainmentRow): string =>
  `${String(Number.MAX_SAFE_INTEGER - createdAt.getTime()).padStart(16, '0')} ${id}`
