/** The parts of a Purser in memory, and the context of its routes. */
import type { Request } from '../connection/http.ts'
import { type Fields, parseFields } from '../json/fields.ts'
import { createAttestation } from './attestation.ts'
import { createAuthority } from './authority.ts'
import { createEntries } from './entries.ts'
import { rfc3339 } from './format.ts'
import { createJwtKeys } from './jwt-keys.ts'
import { createLeaseStore } from './leases.ts'
import { createLedger } from './ledger.ts'
import { Refusal } from './refusal.ts'
import { createSecretStore } from './secrets.ts'
import { type Session, createSessions } from './sessions.ts'

export type Parts = ReturnType<typeof createParts>

export type Reply = { status?: number; json?: unknown; bytes?: Buffer; type?: string }
export type Context = { request: Request; requestId: string; noteCaller: (spiffeId: string) => void }
export type Route = (context: Context) => Reply

export const noContent: Reply = { status: 204, bytes: Buffer.alloc(0), type: 'text/plain' }

export function createParts(trustDomain: string, now: () => Date) {
  /** The issuer of JWT-SVIDs, and the audience of proofs. */
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
    entries,
    sessions,
    leases,
    jwtKeys: createJwtKeys(),
    ledger: createLedger(trustDomain, now),
    secrets: createSecretStore(now),
    attestation: createAttestation({ audience: issuer, authority, entries, sessions, now }),
  }
}

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
