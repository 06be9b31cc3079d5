/** Everything that a Purser in memory is made of, and what its routes are given. */
import { randomBytes } from 'node:crypto'
import { type Fields, parseFields } from '../json/fields.ts'
import { type Attest, createAttest } from './attest.ts'
import { type Authority, createAuthority } from './authority.ts'
import { type Entries, createEntries } from './entries.ts'
import { rfc3339 } from './issue.ts'
import { type JwtKeys, createJwtKeys } from './jwt-keys.ts'
import { type TestLeases, createLeaseStore } from './leases.ts'
import { type Ledger, createLedger } from './ledger.ts'
import { Refusal } from './refusal.ts'
import { type TestSecrets, createSecretStore } from './secrets.ts'
import { type Session, type Sessions, createSessions } from './sessions.ts'
import type { Request } from '../connection/http.ts'

export type Parts = {
  trustDomain: string
  /** Of JWT-SVIDs; proofs are addressed to it. */
  issuer: string
  now: () => Date
  authority: Authority
  jwtKeys: JwtKeys
  ledger: Ledger
  entries: Entries
  sessions: Sessions
  attests: Attest
  secrets: TestSecrets
  leases: TestLeases
}

export type Reply = { status?: number; json?: unknown; bytes?: Buffer; type?: string }
export type Context = { request: Request; requestId: string; noteWho: (spiffeId: string) => void }
export type Route = (context: Context) => Reply

export const newId = (prefix: string): string => `${prefix}_${randomBytes(16).toString('hex')}`

export function createParts(trustDomain: string, now: () => Date): Parts {
  const issuer = 'https://purser.test'
  const authority = createAuthority(trustDomain, issuer)
  const entries = createEntries(trustDomain)
  const sessions = createSessions({ authority, entries, now })
  const leases = createLeaseStore(now)
  sessions.onEnd((session) => leases.sessionEnded(session))
  return {
    trustDomain,
    issuer,
    now,
    authority,
    jwtKeys: createJwtKeys(),
    ledger: createLedger(trustDomain),
    entries,
    sessions,
    secrets: createSecretStore(now),
    leases,
    attests: createAttest({ audience: issuer, authority, entries, sessions, now }),
  }
}

export const entryOf = ({ now }: Parts, requestId: string, action: string, more: Fields): Fields => ({
  v: 1,
  time: now().toISOString(),
  requestId,
  action,
  ...more,
})

export function sessionFields({ entries }: Parts, { id, entry, expiresAt }: Session): Fields {
  const { id: entryId, name, revision } = entries.get(entry.spiffeId) ?? { id: entry.id, name: '', revision: 0 }
  return {
    spiffeId: entry.spiffeId,
    workload: { id: entryId, name, revision },
    session: { id, expiresAt: rfc3339(expiresAt) },
  }
}

/** @throws Refusal `invalid_json` */
export function bodyOf({ body = '' }: Request): Fields {
  try {
    return parseFields(body, 'the body')
  } catch {
    throw new Refusal('invalid_json')
  }
}
