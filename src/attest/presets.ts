/**
 * Issuers that everybody's workloads share, one line each. A preset knows the issuer's algorithms, which of its claims are
 * immutable, and what an entry must ask for, since names at such issuers change hands (weaknesses.md, E).
 */
import type { Match } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import { aws } from './presets/aws.ts'
import { githubActions } from './presets/github-actions.ts'
import { gitlabCi } from './presets/gitlab-ci.ts'
import { google } from './presets/google.ts'
import type { Preset, RequiredMatch } from './presets/preset.ts'

export type PresetName = 'github-actions' | 'gitlab-ci' | 'google' | 'aws'

export const presets: Record<PresetName, Preset> = {
  'github-actions': githubActions,
  'gitlab-ci': gitlabCi,
  google,
  aws,
}

const isPreset = (name: unknown): name is PresetName => typeof name === 'string' && Object.hasOwn(presets, name)

/** What an entry at this attestor must ask for: one of these, each with all its keys. Empty where nothing is required. */
export function requiredMatch({ definition }: Pick<AttestorRow, 'definition'>): readonly RequiredMatch[] {
  const { preset } = definition
  return isPreset(preset) ? presets[preset].requiredMatch : []
}

/**
 * For the route that writes entries: what makes a match too wide for its attestor, in words, or nothing where it is narrow
 * enough (422 `match_too_wide`).
 */
export function tooWide(attestor: Pick<AttestorRow, 'definition'>, match: Match): string | undefined {
  const required = requiredMatch(attestor)
  const asks = (key: string, exact: boolean): boolean => Object.hasOwn(match, key) && (!exact || match[key] !== '*')
  const enough = ({ exact, any = [] }: RequiredMatch): boolean =>
    exact.every((key) => asks(key, true)) && any.every((key) => asks(key, false))
  if (required.length === 0 || required.some(enough)) return undefined
  const ways = required.map(({ exact, any = [] }) =>
    [...exact, ...any.map((key) => `${key} (which may be "*")`)].join(' and '),
  )
  return `names at this issuer change hands, so the match must ask for ${ways.join(', or ')}`
}
