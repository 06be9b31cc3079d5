import type { Checks } from './checks.ts'

/** The checks of a credential and its content, whether or not it verifies. */
export type Judged = { checks: Checks; facts: Record<string, unknown> }

export function judgeTrustDomain(checks: Checks, actual: string | undefined, expected: string | undefined): void {
  if (actual === undefined) checks.failed('trust domain', 'unknown, since it has no SPIFFE ID')
  else if (expected === undefined)
    checks.skipped('trust domain', `${actual}: the bundle names none; give --trust-domain`)
  else if (actual === expected) checks.ok('trust domain', actual)
  else checks.failed('trust domain', `it belongs to ${actual}, not to ${expected}`)
}
