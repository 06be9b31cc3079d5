/** The secrets that a workload may read, list and watch: path patterns with verified facts in them. */
import { type PathPattern, type SecretPath, matchPath, mayCoverUnder, parsePathPattern } from '../names/secret-path.ts'
import type { Selectors } from '../names/selectors.ts'
import { type Template, parseTemplate, render } from '../names/template.ts'

export type SecretAction = 'read' | 'list' | 'watch'

/** As an operator writes it. */
export type SecretGrantDefinition = { paths: string[]; actions: SecretAction[] }

/** As an entry has it. A pattern without placeholders is parsed once, a template for each caller. */
export type SecretRule = { actions: readonly SecretAction[]; patterns: readonly (PathPattern | Template)[] }

/** With all templates rendered. */
export type SecretGrant = { actions: readonly SecretAction[]; patterns: readonly PathPattern[] }

export const readSecretRules = (definitions: readonly SecretGrantDefinition[]): SecretRule[] =>
  definitions.map(({ actions, paths }) => ({
    actions,
    patterns: paths.map((text) => {
      const template = parseTemplate(text, 'secret-pattern')
      return template.parts.length === 1 ? parsePathPattern(text) : template
    }),
  }))

/** @throws NameError like `render` */
export const secretGrantsOf = (rules: readonly SecretRule[], selectors: Selectors): SecretGrant[] =>
  rules.map(({ actions, patterns }) => ({
    actions,
    patterns: patterns.map((pattern) => ('parts' in pattern ? parsePathPattern(render(pattern, selectors)) : pattern)),
  }))

/** Deny by default: a pattern of a grant with the action must match. */
export const maySecret = (grants: readonly SecretGrant[], action: SecretAction, path: SecretPath): boolean =>
  grants.some((grant) => grant.actions.includes(action) && grant.patterns.some((pattern) => matchPath(pattern, path)))

/** The literal beginning of each pattern, before its first `*`. Every path that the grants allow begins with one of them. */
export const secretRoots = (grants: readonly SecretGrant[], action: SecretAction): string[] =>
  grants.flatMap(({ actions, patterns }) => (actions.includes(action) ? patterns.map(rootOf) : []))

function rootOf({ segments, subtree }: PathPattern): string {
  const wild = segments.indexOf('*')
  const literal = wild < 0 ? segments : segments.slice(0, wild)
  return literal.length > 0 && (wild >= 0 || subtree) ? `${literal.join('/')}/` : literal.join('/')
}

/** Whether the grants could allow a path with this prefix, whether or not such a secret exists. */
export const maySecretUnder = (grants: readonly SecretGrant[], action: SecretAction, prefix: string): boolean =>
  grants.some(
    (grant) => grant.actions.includes(action) && grant.patterns.some((pattern) => mayCoverUnder(pattern, prefix)),
  )
