/** The certificate of this process: presented to Purser and to peers, and stored over a restart. */
import { PurserError } from '../errors.ts'
import type { Credentials } from '../credentials/fetch-credentials.ts'
import type { HeldCredentials } from '../renewal/held-credentials.ts'
import type { Renewal } from '../renewal/renewal.ts'
import type { IdentityFile, StoredIdentity, PendingKey } from '../state/identity-file.ts'
import type { RevokedCertificates } from '../revocation/revoked.ts'
import type { IdentitySource } from './source.ts'
import { readSpiffeId } from './spiffe-id.ts'

type Parts = {
  file: IdentityFile | undefined
  stored: StoredIdentity | undefined
  origin: string
  /** The proof's subject, hashed. */
  subject: string | undefined
  /** Whether the connection to the server can present a certificate: not with plain HTTP. */
  presentable: boolean
}

type SourceParts = { held: HeldCredentials; renewal: Renewal; revoked: RevokedCertificates; closing: AbortSignal }

export type Identity = ReturnType<typeof createIdentity>

export function createIdentity({ file, stored, origin, subject, presentable }: Parts) {
  let current = stored

  return {
    /** The certificate to present to Purser; undefined before the first one, or without TLS. */
    live: () => (presentable ? current : undefined),
    keep: async ({ spiffeId, workload, session, x509 }: Credentials): Promise<void> => {
      if (!x509) return
      const { trustDomain = '' } = readSpiffeId(spiffeId) ?? {}
      current = { origin, subject, trustDomain, spiffeId, workload, session, ...x509 }
      await file?.write(current)
    },
    /** @returns whether a restarted process can't find the certificate without its pending renewal */
    keepPending: async (pending: PendingKey | undefined): Promise<boolean> =>
      !current || !file || file.write({ ...current, pending }),
    source: ({ held, renewal, revoked, closing }: SourceParts): IdentitySource => ({
      get trustDomain() {
        return current?.trustDomain ?? ''
      },
      identity() {
        if (closing.aborted) throw closing.reason
        const x509 = held.x509()
        if (!x509)
          throw new PurserError('not_requested', 'connect() requested no certificate: connect without x509: false')
        const { value, leftMs } = x509
        if (leftMs <= 0) throw expired(value.notAfter, renewal.lastError())
        return { ...value, trustBundle: renewal.roots(), spiffeId: held.newest().spiffeId }
      },
      onIdentity: renewal.onIdentity,
      revoked,
      closing,
    }),
  }
}

function expired(notAfter: Date, cause: PurserError | undefined): PurserError {
  const why = cause ? `: ${cause.message}` : ', and its renewal is in progress'
  return new PurserError('expired', `the certificate expired at ${notAfter.toISOString()}${why}`, {
    cause,
    requestId: cause?.requestId,
    status: cause?.status,
    retryAfterSeconds: cause?.retryAfterSeconds,
  })
}
