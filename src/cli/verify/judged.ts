import type { Checks } from './checks.ts'

/** What came of a credential, and what it says, whether or not it is to be believed. */
export type Judged = { checks: Checks; facts: Record<string, unknown> }

export function judgeTrustDomain(checks: Checks, found: string | undefined, wanted: string | undefined): void {
  if (found === undefined) checks.failed('trust domain', 'without a SPIFFE ID it is of none')
  else if (wanted === undefined) checks.skipped('trust domain', `${found}: the bundle names none; give --trust-domain`)
  else if (found === wanted) checks.ok('trust domain', found)
  else checks.failed('trust domain', `it is of ${found}, and this is ${wanted}`)
}
