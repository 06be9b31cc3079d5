/** Secret paths and the patterns of grants: refused, never repaired (docs/architecture.md, Input). */
import { NameError } from './errors.ts'

export type SecretPath = { path: string; segments: readonly string[] }

export type PathPattern = {
  text: string
  /** Literal segments and `*`, without the trailing `**`. */
  segments: readonly string[]
  /** Ends in `**`: covers all paths below, but not the path itself. */
  subtree: boolean
}

const maxPathLength = 512
const maxSegments = 64
const segment = /^[a-z0-9._-]+$/
// Vault clients use these words as parts of its API.
const reservedFirst = new Set(['sys', 'auth', 'data', 'metadata'])

/** Whether a text is a valid segment of a secret path. */
export function isPathSegment(text: string): boolean {
  return segment.test(text) && text !== '.' && text !== '..' && text !== '__proto__'
}

/** @throws NameError `bad_path` */
export function parseSecretPath(text: string): SecretPath {
  if (text.length > maxPathLength) throw new NameError('bad_path', 'a secret path is at most 512 bytes long')
  const segments = text.split('/')
  if (segments.length > maxSegments) throw new NameError('bad_path', 'a secret path has at most 64 segments')
  if (!segments.every(isPathSegment))
    throw new NameError(
      'bad_path',
      'each segment of a secret path is one or more of a-z, 0-9, dot, hyphen and underscore, and not . or ..',
    )
  if (reservedFirst.has(segments[0] ?? '')) throw new NameError('bad_path', 'the first segment is a reserved word')
  return { path: text, segments }
}

/**
 * Parses the pattern of a grant: `*` matches one whole segment, a trailing `**` one or more.
 * @throws NameError `bad_pattern`
 */
export function parsePathPattern(text: string): PathPattern {
  if (text.length > maxPathLength) throw new NameError('bad_pattern', 'a path pattern is at most 512 bytes long')
  const all = text.split('/')
  if (all.length > maxSegments) throw new NameError('bad_pattern', 'a path pattern has at most 64 segments')
  const subtree = all.at(-1) === '**'
  const segments = subtree ? all.slice(0, -1) : all
  if (!segments.every((segment) => segment === '*' || isPathSegment(segment)))
    throw new NameError(
      'bad_pattern',
      'each segment of a path pattern is a plain segment or *, the last may be **, and * is never part of a segment',
    )
  if (reservedFirst.has(segments[0] ?? '')) throw new NameError('bad_pattern', 'the first segment is a reserved word')
  return { text, segments, subtree }
}

/** Whether a pattern covers a path. */
export function matchPath(pattern: PathPattern, path: SecretPath): boolean {
  const { segments, subtree } = pattern
  const isLongEnough = subtree ? path.segments.length > segments.length : path.segments.length === segments.length
  return isLongEnough && segments.every((text, index) => text === '*' || text === path.segments[index])
}

/** Whether a pattern can cover any path that begins with `prefix`, which may end within a segment. */
export function mayCoverUnder({ segments, subtree }: PathPattern, prefix: string): boolean {
  const whole = prefix.split('/')
  const partial = whole.pop() ?? ''
  if (!whole.every(isPathSegment) || (partial !== '' && !segment.test(partial))) return false
  const at = (index: number): string | undefined => segments[index] ?? (subtree ? '*' : undefined)
  if (!whole.every((text, index) => at(index) === '*' || at(index) === text)) return false
  const last = at(whole.length)
  return last !== undefined && (last === '*' || last.startsWith(partial))
}
