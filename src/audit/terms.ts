/** The search terms of an entry: `key=value`, for each filter of the search. */
import type { LogEntry } from './entry.ts'

/** Whether an entry has every term. A search by keys needs this check, since two terms may share a key (store/term-keys.ts). */
export function holdsTerms(entry: LogEntry, terms: readonly string[]): boolean {
  const own = new Set(entryTerms(entry))
  return terms.every((term) => own.has(term))
}

export function entryTerms(entry: LogEntry): string[] {
  const terms: string[] = [`action=${entry.action}`, `outcome=${entry.outcome}`, `requestId=${entry.requestId}`]
  const add = (key: string, value: string | undefined): void => {
    if (value !== undefined) terms.push(`${key}=${value}`)
  }
  const { actor, issued } = entry
  add('reason', entry.reason)
  add('actor', actor.kind)
  add('actor', actor.operator)
  add('spiffeId', actor.spiffeId)
  add('workload', actor.workload)
  add('attestor', actor.attestor)
  add('session', actor.session)
  add('sourceIp', entry.source?.ip)
  for (const [key, value] of Object.entries(actor.selectors ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) add('selector', `${key}=${item}`)
  }
  if (issued?.x509) {
    add('serialNumber', issued.x509.serialNumber)
    add('sha256', issued.x509.sha256)
    add('sha256', issued.x509.publicKeySha256)
  }
  for (const jwt of issued?.jwts ?? []) add('jti', jwt.jti)
  for (const secret of issued?.secrets ?? []) add('path', secret.path)
  for (const lease of issued?.leases ?? []) add('leaseId', lease.id)
  add('tokenId', actor.tokenId)
  add('tokenId', issued?.accessToken?.id)
  add('tokenId', issued?.apiToken?.id)
  const {
    serialNumbers = [],
    jtis = [],
    sessions = [],
    accessTokens = [],
    apiTokens = [],
    leases = [],
  } = entry.revoked ?? {}
  for (const number of serialNumbers) add('serialNumber', number)
  for (const jti of jtis) add('jti', jti)
  for (const session of sessions) add('session', session)
  for (const token of [...accessTokens, ...apiTokens]) add('tokenId', token)
  for (const lease of leases) add('leaseId', lease)
  const { resource } = entry
  if (resource) add('resource', `${resource.kind}/${resource.name ?? resource.id}`)
  if (resource?.kind === 'secret') add('path', resource.name)
  if (resource?.kind === 'lease') add('leaseId', resource.id)
  if (resource?.revision !== undefined) add('revision', `${resource.kind}/${resource.id}/${resource.revision}`)
  return terms
}
