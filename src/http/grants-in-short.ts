import type { Grant } from '../authorize/grant.ts'

/** What a workload may have, as replies show it: templates filled in, extra claims left out. */
export function grantsInShort({ x509, jwt }: Grant) {
  return {
    ...(x509 && { x509: { dnsNames: x509.dnsNames, maxLifetimeSeconds: x509.maxLifetimeSeconds } }),
    ...(jwt && {
      jwt: {
        audiences: jwt.audiences.map((one) => one.audience),
        maxLifetimeSeconds: jwt.maxLifetimeSeconds,
      },
    }),
  }
}
