/** Names of operators. Each has one spelling: others are refused, never repaired. */

/**
 * Names with a meaning of their own: `self` is the caller in requests. The others are kinds of actors, by which the log is
 * searched.
 */
const reserved: readonly string[] = ['anonymous', 'bootstrap', 'operator', 'self', 'system', 'workload']

/** @returns what is wrong with the name; undefined for a name that an operator may have */
export function operatorNameProblem(name: string): string | undefined {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)) {
    return 'must be 1 to 63 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit'
  }
  return reserved.includes(name)
    ? `is reserved, as are ${reserved.filter((other) => other !== name).join(', ')}`
    : undefined
}
