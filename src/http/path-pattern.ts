import type { Operation } from './openapi.ts'

type Template = Pick<Operation, 'path' | 'manySegments'>

/** Matches the paths of an operation, with its parameters as groups. A parameter of many segments may contain slashes. */
export function pathPattern({ path, manySegments }: Template): RegExp {
  const literal = path.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&')
  const group = (name: string): string => `(?<${name}>${manySegments.includes(name) ? '[^:]+' : '[^/:]+'})`
  return new RegExp(`^${literal.replaceAll(/\{([^}]+)\}/g, (_, name: string) => group(name))}$`)
}

/**
 * ASCII segments without escapes or dot segments, one slash between them. Each path has one spelling, so that the path
 * that is authorized is the path that is read. Origin form only (RFC 9112 section 3.2.1).
 */
export const canonicalPath =
  /^\/(?:(?!\.{1,2}(?:\/|\?|$))[A-Za-z0-9._~:@+-]+(?:\/(?!\.{1,2}(?:\/|\?|$))[A-Za-z0-9._~:@+-]+)*)?(?:\?[^#]*)?$/
