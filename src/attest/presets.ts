/**
 * Presets for issuers that many organizations share. A preset knows the issuer's algorithms, its immutable claims, and the
 * conditions that an entry must have, since names at such issuers change hands.
 */
import type { Match } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import { aws } from './presets/aws.ts'
import { githubActions } from './presets/github-actions.ts'
import { gitlabCi } from './presets/gitlab-ci.ts'
import { google } from './presets/google.ts'
import type { Narrowing, Preset, RequiredMatch } from './presets/preset.ts'

export type PresetName = 'github-actions' | 'gitlab-ci' | 'google' | 'aws'

export const presets: Record<PresetName, Preset> = {
  'github-actions': githubActions,
  'gitlab-ci': gitlabCi,
  google,
  aws,
}

const isPreset = (name: unknown): name is PresetName => typeof name === 'string' && Object.hasOwn(presets, name)

type WithPreset = Pick<AttestorRow, 'definition'>

const presetOf = ({ definition: { preset } }: WithPreset): Preset | undefined =>
  isPreset(preset) ? presets[preset] : undefined

/** An entry must have one of these sets of conditions. Empty where none is required. */
export const requiredMatch = (attestor: WithPreset): readonly RequiredMatch[] => presetOf(attestor)?.requiredMatch ?? []

/** Why a match is too wide for its attestor (`match_too_wide`). Nothing where it is narrow enough. */
export const widthFault = (attestor: WithPreset, match: Match, wide: boolean): string | undefined =>
  lacksIds(attestor, match) ?? (wide ? undefined : lacksNarrowing(attestor, match))

const hasCondition = (match: Match, key: string): boolean => Object.hasOwn(match, key)
const hasExactCondition = (match: Match, key: string): boolean => hasCondition(match, key) && match[key] !== '*'

function lacksIds(attestor: WithPreset, match: Match): string | undefined {
  const required = requiredMatch(attestor)
  const isEnough = ({ exact, any = [] }: RequiredMatch): boolean =>
    exact.every((key) => hasExactCondition(match, key)) && any.every((key) => hasCondition(match, key))
  if (required.length === 0 || required.some(isEnough)) return undefined
  const ways = required.map(({ exact, any = [] }) =>
    [...exact, ...any.map((key) => `${key} (which may be "*")`)].join(' and '),
  )
  return `names at this issuer change hands, so the match must ask for ${ways.join(', or ')}`
}

function lacksNarrowing(attestor: WithPreset, match: Match): string | undefined {
  const narrow = presetOf(attestor)?.narrowMatch
  const ways = narrow && missingWays(match, narrow.ways)
  return ways && `${narrow.why}: add ${ways} to the match, or state "wide": true`
}

/** The warning that runs without an approval of their branch or environment would act as operators. */
export function unapprovedRuns(attestor: WithPreset, match: Match): string | undefined {
  const { approvedRuns } = presetOf(attestor) ?? {}
  const ways = approvedRuns && missingWays(match, approvedRuns)
  return ways && `any run that the entry matches acts as an operator: add ${ways} to the match`
}

/** The ways in words, where the match has none of them. */
function missingWays(match: Match, ways: readonly (readonly Narrowing[])[]): string | undefined {
  const holds = ({ key, values }: Narrowing): boolean =>
    hasExactCondition(match, key) && (!values || [match[key] ?? []].flat().every((value) => values.includes(value)))
  if (ways.some((way) => way.every(holds))) return undefined
  return ways
    .map((way) => way.map(({ key, values }) => (values ? `${key}=${values.join(' or ')}` : key)).join(' and '))
    .join(', or ')
}
