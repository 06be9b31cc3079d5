import type { Grant } from '../authorize/grant.ts'
import type { SecretAction } from '../authorize/secret-grants.ts'

type GrantsInShort = {
  x509?: { dnsNames: readonly string[]; maxLifetimeSeconds: number }
  jwt?: { audiences: string[]; maxLifetimeSeconds: number }
  secrets?: { paths: string[]; actions: readonly SecretAction[] }[]
  databases?: string[]
}

/** What a workload may have, as replies show it: templates filled in, extra claims left out. */
export function grantsInShort({ x509, jwt, secrets, databases }: Grant): GrantsInShort {
  const short: GrantsInShort = {}
  if (x509) short.x509 = { dnsNames: x509.dnsNames, maxLifetimeSeconds: x509.maxLifetimeSeconds }
  if (jwt) {
    const audiences = jwt.audiences.map((audience) => audience.audience)
    short.jwt = { audiences, maxLifetimeSeconds: jwt.maxLifetimeSeconds }
  }
  if (secrets.length > 0) {
    short.secrets = secrets.map(({ patterns, actions }) => ({
      paths: patterns.map((pattern) => pattern.text),
      actions,
    }))
  }
  if (databases.length > 0) short.databases = databases
  return short
}
