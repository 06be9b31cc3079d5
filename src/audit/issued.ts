/** What an entry says was given out, in numbers. */
import type { Issued } from './entry.ts'

/** What can be given out, for the metrics, whose labels are closed. */
export const issuedKinds = ['x509', 'jwt', 'accessToken', 'secret', 'lease'] as const

export function countIssued(
  { x509, jwts, accessToken, secrets, leases }: Issued,
  count: (kind: (typeof issuedKinds)[number], times: number) => void,
): void {
  if (x509) count('x509', 1)
  if (jwts) count('jwt', jwts.length)
  if (accessToken) count('accessToken', 1)
  if (secrets) count('secret', secrets.length)
  if (leases) count('lease', leases.length)
}
