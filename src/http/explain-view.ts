/** The view of an explanation: the outcome as members and in words, and what to do next. */
import type { Explained } from '../actions/workloads/explain.ts'
import { adviceFor } from '../authorize/advice.ts'
import { workloadOf } from '../authorize/entries.ts'
import type { Considered } from '../authorize/explain.ts'
import { hasIdleOperatorGrant } from '../authorize/operator-grant.ts'
import { idleOperatorGrant } from '../authorize/warnings.ts'
import { type Problem, refusals } from '../errors.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { type GithubSubject, readGithubSubject } from '../names/github-subject.ts'
import type { Condition } from '../names/selectors.ts'
import { showGrant } from './grant-view.ts'

type Refused = Extract<Explained, { outcome: 'refused' }>
type Granted = Extract<Explained, { outcome: 'granted' }>

export const showExplained = (explained: Explained) =>
  explained.outcome === 'granted' ? showGranted(explained) : showRefused(explained)

const showCaller = ({ attestor, selectors }: Explained) => ({
  ...(attestor !== undefined && { attestor }),
  ...(selectors && { selectors: { ...selectors } }),
})

function showRefused(explained: Refused) {
  const { outcome, reason, info, entries, more, grantedSinceBy } = explained
  const isUnmatched = reason === 'no_workload'
  return {
    outcome,
    reason,
    detail: sentences([
      refusals[reason].title,
      info.detail,
      facts(info.explanation),
      isUnmatched ? nearest(entries, more) : undefined,
    ]),
    next:
      grantedSinceBy === undefined
        ? ((isUnmatched ? adviceToMatchIds(entries) : undefined) ?? adviceFor(reason))
        : `let the workload retry: the entry ${grantedSinceBy} has changed since and grants the request`,
    ...showCaller(explained),
    entries,
  }
}

function showGranted(explained: Granted) {
  const { outcome, decision, entries, countedProof, sessionExpiresAt } = explained
  const { entry, grant } = decision
  const { id, name, revision } = entry.row
  return {
    outcome,
    detail: sentences([
      `The workload entry ${name} matches, and the caller is ${grant.spiffeId}`,
      countedProof
        ? 'The proof has a limited number of uses: whether it is used up is checked when it is presented'
        : undefined,
      hasIdleOperatorGrant(workloadOf(entry.row).grants ?? {}) ? idleOperatorGrant.detail : undefined,
    ]),
    ...showCaller(explained),
    entries,
    grant: {
      workload: { id, name, revision },
      spiffeId: grant.spiffeId,
      grants: showGrant(grant),
      ...(sessionExpiresAt && { sessionExpiresAt: rfc3339(sessionExpiresAt) }),
    },
  }
}

/** The facts that the log has beside the reason, such as the claim or the rule. */
function facts(explanation: Record<string, unknown> | undefined): string | undefined {
  const { errors, ...others } = explanation ?? {}
  const parts = [
    ...Object.entries(others).map(
      ([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ),
    ...problems(errors),
  ]
  return parts.length > 0 ? parts.join(', ') : undefined
}

/** The parts of the request that were refused. */
const problems = (errors: unknown): string[] =>
  Array.isArray(errors)
    ? errors.flatMap((error: Partial<Problem> | null) =>
        error?.pointer ? [`${error.pointer}: ${error.detail ?? ''}`] : [],
      )
    : []

function nearest(entries: Considered[], more: number): string {
  const entry = entries.find(({ conditions }) => conditions.some(subjectWithIds)) ?? entries[0]
  if (!entry) return 'This attestor has no entry yet'
  if (entry.matched) return `The entry ${entry.workload.name} matches, but the request named another`
  const failed = entry.conditions.filter((condition) => !condition.ok)
  const differences = failed.map((condition) => {
    const { key, wanted, found } = condition
    const hint = subjectWithIds(condition) ? ' (the entry matches by name, the token has ids)' : ''
    return `${key} is ${words(found)} and not ${words(wanted)}${hint}`
  })
  const others = more > 0 ? `; ${more} more entries are not shown` : ''
  return `Nearest is ${entry.workload.name}: ${differences.join(', ')}${others}`
}

/** GitHub's subject with ids, where an entry requires the same names without ids. */
function subjectWithIds({ key, wanted, found }: Condition): GithubSubject | undefined {
  const subject = key === 'oidc:sub' && typeof found === 'string' ? readGithubSubject(found) : undefined
  return subject && [wanted].flat().includes(subject.names) ? subject : undefined
}

function adviceToMatchIds(entries: Considered[]): string | undefined {
  const subject = entries.flatMap(({ conditions }) =>
    conditions.flatMap((condition) => subjectWithIds(condition) ?? []),
  )[0]
  if (!subject) return undefined
  const { repositoryId, ownerId } = subject
  return (
    `match the ids instead of oidc:sub, as names can change hands: github:repository-id ${repositoryId} and a ref, ` +
    `at an attestor with the preset github-actions; or oidc:repository_id ${repositoryId} and oidc:repository_owner_id ${ownerId}`
  )
}

const words = (value: string | string[] | undefined): string =>
  value === undefined
    ? 'unknown'
    : [value]
        .flat()
        .map((item) => JSON.stringify(item))
        .join(' or ')

const sentences = (parts: (string | undefined)[]): string =>
  parts.flatMap((part) => (part === undefined ? [] : [`${part}.`])).join(' ')
