/** Secret paths and the patterns of grants: refused, never repaired (docs/architecture.md, Input). */
import { NameError } from './errors.ts'

export type SecretPath = { path: string; segments: readonly string[] }

export type PathPattern = {
  text: string
  /** Literal segments and `*`, without the trailing `**`. */
  segments: readonly string[]
  /** Ends in `**`: everything below, and not the place itself. */
  subtree: boolean
}

const maxPathLength = 512
const maxSegments = 64
const segment = /^[a-z0-9._-]+$/
// Vault clients read these as parts of its API rather than of a path.
const reservedFirst = new Set(['sys', 'auth', 'data', 'metadata'])

/** Whether a text may stand between the slashes of a secret path. */
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
 * A pattern of a grant: `*` stands for one whole segment, a trailing `**` for one or more.
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
  const wanted = pattern.segments
  const given = path.segments
  if (pattern.subtree ? given.length <= wanted.length : given.length !== wanted.length) return false
  return wanted.every((one, index) => one === '*' || one === given[index])
}

/** Whether there can be a path that a pattern covers and that begins with a text, which may end within a segment. */
export function mayCoverUnder({ segments: wanted, subtree }: PathPattern, prefix: string): boolean {
  const whole = prefix.split('/')
  const begun = whole.pop() ?? ''
  if (!whole.every(isPathSegment) || (begun !== '' && !segment.test(begun))) return false
  const at = (index: number): string | undefined => wanted[index] ?? (subtree ? '*' : undefined)
  if (!whole.every((one, index) => at(index) === '*' || at(index) === one)) return false
  const last = at(whole.length)
  return last !== undefined && (last === '*' || last.startsWith(begun))
}
