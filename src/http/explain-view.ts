/** An explanation as a person reads it: what was found, in members and in words, and what to do next. */
import { adviceFor } from '../authorize/advice.ts'
import type { Decision } from '../authorize/decide.ts'
import type { Considered, Explanation } from '../authorize/explain.ts'
import { type Problem, type RefusalCode, type RefusalInfo, refusals } from '../errors.ts'
import { type GithubSubject, readGithubSubject } from '../names/github-subject.ts'
import type { Condition } from '../names/selectors.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { SelectorRecord } from '../audit/entry.ts'
import { grantsInShort } from './grants-in-short.ts'

export type Refused = { reason: RefusalCode; info?: Pick<RefusalInfo, 'detail' | 'explanation'> }

/** What is known of the caller, as far as it got. */
export type About = {
  attestor?: string
  selectors?: SelectorRecord
  sessionExpiresAt?: Date
  /** The proof is taken once, or so many times: only the log's append can tell whether it is used up. */
  counted?: boolean
}

const known = ({ attestor, selectors }: About) => ({
  ...(attestor !== undefined && { attestor }),
  ...(selectors && { selectors: { ...selectors } }),
})

/** A refusal, with the entries that were considered where it got that far. */
export function refusedView(about: About, { reason, info }: Refused, entries: Considered[] = [], more = 0) {
  return {
    outcome: 'refused' as const,
    reason,
    detail: sentences([
      refusals[reason].title,
      info?.detail,
      facts(info?.explanation),
      reason === 'no_workload' ? nearest(entries, more) : undefined,
    ]),
    next: (reason === 'no_workload' ? matchIds(entries) : undefined) ?? adviceFor(reason),
    ...known(about),
    entries,
  }
}

function grantedView(about: About, { entry, grant }: Decision, entries: Considered[]) {
  const { id, name, revision } = entry.row
  return {
    outcome: 'granted' as const,
    detail: sentences([
      `The workload entry ${name} matches, and the caller is ${grant.spiffeId}`,
      about.counted ? 'Whether the proof is used up already is judged when it is presented' : undefined,
    ]),
    ...known(about),
    entries,
    grant: {
      workload: { id, name, revision },
      spiffeId: grant.spiffeId,
      grants: grantsInShort(grant),
      ...(about.sessionExpiresAt && { sessionExpiresAt: rfc3339(about.sessionExpiresAt) }),
    },
  }
}

export const explanationView = (about: About, explanation: Explanation) =>
  explanation.outcome === 'granted'
    ? grantedView(about, explanation.decision, explanation.entries)
    : refusedView(about, explanation, explanation.entries, explanation.more)

/** What the log keeps beside the reason: which claim, which rule. */
function facts(explanation: Record<string, unknown> | undefined): string | undefined {
  const { errors, ...others } = explanation ?? {}
  const told = [
    ...Object.entries(others).map(
      ([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ),
    ...parts(errors),
  ]
  return told.length > 0 ? told.join(', ') : undefined
}

/** Which parts of the request were refused, as problems name them. */
const parts = (errors: unknown): string[] =>
  Array.isArray(errors)
    ? errors.flatMap((error: Partial<Problem> | null) =>
        error?.pointer ? [`${error.pointer}: ${error.detail ?? ''}`] : [],
      )
    : []

function nearest(entries: Considered[], more: number): string {
  const first = entries.find(({ conditions }) => conditions.some(subjectWithIds)) ?? entries[0]
  if (!first) return 'This attestor has no entry yet'
  if (first.matched) return `It matches ${first.workload.name}, and named another`
  const failed = first.conditions.filter((condition) => !condition.ok)
  const told = failed.map((condition) => {
    const { key, wanted, found } = condition
    const hint = subjectWithIds(condition) ? ' (the entry matches by name, the token has ids)' : ''
    return `${key} is ${words(found)} and not ${words(wanted)}${hint}`
  })
  const others = more > 0 ? `; ${more} further entries are not shown` : ''
  return `Nearest is ${first.workload.name}: ${told.join(', ')}${others}`
}

/** GitHub's new subject where an entry asks for the same names without ids. */
function subjectWithIds({ key, wanted, found }: Condition): GithubSubject | undefined {
  const subject = key === 'oidc:sub' && typeof found === 'string' ? readGithubSubject(found) : undefined
  return subject && [wanted].flat().includes(subject.names) ? subject : undefined
}

function matchIds(entries: Considered[]): string | undefined {
  for (const condition of entries.flatMap(({ conditions }) => conditions)) {
    const subject = subjectWithIds(condition)
    if (!subject) continue
    const { repositoryId, ownerId } = subject
    return (
      `match the ids instead of oidc:sub, as names can change hands: github:repository-id ${repositoryId} and a ref, ` +
      `at an attestor with the preset github-actions; or oidc:repository_id ${repositoryId} and oidc:repository_owner_id ${ownerId}`
    )
  }
  return undefined
}

const words = (value: string | string[] | undefined): string =>
  value === undefined
    ? 'not known'
    : [value]
        .flat()
        .map((one) => JSON.stringify(one))
        .join(' or ')

const sentences = (parts: (string | undefined)[]): string =>
  parts.flatMap((part) => (part === undefined ? [] : [`${part}.`])).join(' ')
