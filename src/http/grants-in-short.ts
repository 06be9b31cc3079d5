import type { Grant } from '../authorize/grant.ts'

/** What a workload may have, as replies show it: templates filled in, extra claims left out. */
export function grantsInShort({ x509, jwt, secrets, databases }: Grant) {
  return {
    ...(x509 && { x509: { dnsNames: x509.dnsNames, maxLifetimeSeconds: x509.maxLifetimeSeconds } }),
    ...(jwt && {
      jwt: {
        audiences: jwt.audiences.map((one) => one.audience),
        maxLifetimeSeconds: jwt.maxLifetimeSeconds,
      },
    }),
    ...(secrets.length > 0 && {
      secrets: secrets.map((one) => ({
        paths: one.patterns.map((pattern) => pattern.text),
        actions: [...one.actions],
      })),
    }),
    ...(databases.length > 0 && { databases }),
  }
}
