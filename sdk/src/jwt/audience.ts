import { PurserError } from '../errors.ts'

/**
 * The names that a service goes by. None is no default: a check that is left out accepts everybody's tokens.
 * @throws PurserError `bad_options`
 */
export function readAudience(audience: unknown): readonly string[] {
  const names: readonly unknown[] = Array.isArray(audience) ? audience : [audience]
  if (names.length > 0 && names.every((name): name is string => typeof name === 'string' && name !== '')) return names
  throw new PurserError('bad_options', 'audience is the name or names of this service, which tokens must be for')
}
