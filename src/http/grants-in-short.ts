import type { Grant } from '../authorize/grant.ts'

type GrantsInShort = {
  x509?: { dnsNames: readonly string[]; maxLifetimeSeconds: number }
  jwt?: { audiences: string[]; maxLifetimeSeconds: number }
}

/** What a workload may have, as replies show it: templates filled in, extra claims left out. */
export function grantsInShort({ x509, jwt }: Grant): GrantsInShort {
  const short: GrantsInShort = {}
  if (x509) short.x509 = { dnsNames: x509.dnsNames, maxLifetimeSeconds: x509.maxLifetimeSeconds }
  if (jwt) {
    const audiences = jwt.audiences.map((one) => one.audience)
    short.jwt = { audiences, maxLifetimeSeconds: jwt.maxLifetimeSeconds }
  }
  return short
}
