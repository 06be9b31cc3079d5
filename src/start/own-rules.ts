/** Names, audiences and claims that belong to Purser itself: no workload entry grants them. */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { OwnRules } from '../authorize/entry-rules.ts'
import type { Config } from '../config.ts'
import { reservedClaims } from '../issue/jwt-svid.ts'

export function ownRules(
  config: Pick<Config, 'tls' | 'trustDomain' | 'publicUrl' | 'audiences' | 'keys' | 'nameConstraints'>,
): OwnRules {
  return {
    trustDomain: config.trustDomain,
    names: new Set([...tlsNames(config.tls), new URL(config.publicUrl).hostname]),
    audiences: new Set([config.publicUrl, ...config.audiences]),
    // An object loses a member of that name.
    claims: new Set([...reservedClaims, '__proto__']),
    max: config.keys.max,
    ...(config.nameConstraints && { dnsSuffixes: config.nameConstraints.suffixes }),
  }
}

/** The names in the listener's certificate. */
function tlsNames(tls: Config['tls']): readonly string[] {
  if (tls.kind === 'own-ca') return tls.names
  if (tls.kind === 'off') return []
  const names = new X509Certificate(readFileSync(tls.certFile)).subjectAltName ?? ''
  return names.split(', ').flatMap((name) => (name.startsWith('DNS:') ? [name.slice(4).toLowerCase()] : []))
}
