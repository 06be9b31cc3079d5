/** A containment as text. */
import type { Schemas } from './api-types.ts'
import { pairs, table } from './output.ts'

type Containment = Schemas['Containment']

export function subjectOf({ selectors, ...names }: Schemas['ContainmentMatch']): string {
  const parts = Object.entries(names).map(([kind, name]) => `${kind} ${name}`)
  return [...parts, ...(selectors ? [pairs(selectors)] : [])].join(' ')
}

const counted = (n: number, noun: string): string[] => (n === 0 ? [] : [`${n} ${noun}${n === 1 ? '' : 's'}`])

const stateWords: Record<Containment['state'], string> = {
  planned: 'dry run: nothing was changed',
  revoking: 'blocked; credentials are being revoked',
  rotating: 'blocked; all credentials are revoked, rotations or leases have not ended',
  contained: 'contained',
}

export function formatContainment(containment: Containment): string {
  const { id, match, state, cut, releasedAt, revoked, blocks } = containment
  const isDry = state === 'planned'
  const counts = [
    ...counted(revoked.certificates, 'certificate'),
    ...counted(revoked.jwts, 'JWT'),
    ...counted(revoked.accessTokens, 'access token'),
    ...counted(revoked.sessions, 'session'),
    ...counted(revoked.apiTokens, 'API token'),
  ]
  const blocked =
    releasedAt === undefined
      ? `${blocks ?? ''} ${isDry ? 'would be blocked' : `until: purser contain release ${id ?? ''}`}`
      : `${blocks ?? ''} until ${releasedAt}`
  return table([
    ['containment', [id ?? '', subjectOf(match)].join('  ').trim()],
    ['state', stateWords[state]],
    ...(cut ? [['cut', `log ${cut.epoch}/${cut.index}`]] : []),
    ...(blocks ? [['blocked', blocked]] : []),
    [isDry ? 'would revoke' : 'revoked', counts.length === 0 ? 'nothing: nothing of it was valid' : counts.join(', ')],
    ...detailsOf(containment),
  ])
}

function detailsOf({ leases, rotating, needsHands, alsoAffected, outOfReach, reachable }: Containment): string[][] {
  const reach = [...reachable.secrets, ...reachable.databases.map((name) => `database ${name}`)]
  return [
    ...leases.map((lease) => ['lease', `${lease.username} in ${lease.database}: ${lease.state}`]),
    ...rotating.map(({ path, state, error }) => [
      'rotation',
      `${path}: ${state}${error === undefined ? '' : ` (${error})`}`,
    ]),
    ...needsHands.map(({ kind, name, reason }) => ['needs a person', `${kind} ${name}: ${reason}`]),
    ...alsoAffected.sessions.map((session) => ['also blocked', `session ${session}`]),
    ...(reach.length === 0 ? [] : [['could read', reach.join(', ')]]),
    ...acceptedElsewhere(outOfReach),
  ]
}

/** A thousand credentials as a line for each kind of verifier; `--output json` has every one. */
function acceptedElsewhere(outOfReach: Containment['outOfReach']): string[][] {
  const ends = new Map<string, { count: number; until: string }>()
  for (const { audience, until } of outOfReach) {
    const verifiers = audience === undefined ? 'verifiers without CRLs' : `${audience}, unless it asks Purser`
    const { count, until: last } = ends.get(verifiers) ?? { count: 0, until }
    ends.set(verifiers, { count: count + 1, until: last > until ? last : until })
  }
  return [...ends].map(([verifiers, { count, until }]) => [
    'still accepted',
    `${count} at ${verifiers}, until ${until}`,
  ])
}
