import { PurserError } from '../errors.ts'

/**
 * The names of a service. There is no default: without this check, it would accept tokens for other services.
 * @throws PurserError `bad_options`
 */
export function readAudience(audience: unknown): readonly string[] {
  const names: readonly unknown[] = Array.isArray(audience) ? audience : [audience]
  if (names.length > 0 && names.every((name): name is string => typeof name === 'string' && name !== '')) return names
  throw new PurserError('bad_options', 'audience is the name or names of this service: a string or a list of strings')
}
