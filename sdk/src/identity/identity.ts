/** The certificate that this process is known by: what is presented, what is kept over a restart, and who may use it. */
import { PurserError } from '../errors.ts'
import type { Credentials } from '../credentials/fetch-credentials.ts'
import type { Held } from '../renewal/held-credentials.ts'
import type { Keeper } from '../renewal/renewal.ts'
import type { IdentityFile, KeptIdentity, PendingKey } from '../state/identity-file.ts'
import type { Revoked } from '../revocation/revoked.ts'
import type { Source } from './source.ts'

type Parts = {
  file: IdentityFile | undefined
  kept: KeptIdentity | undefined
  origin: string
  /** Whom the proof speaks of, hashed. */
  subject: string | undefined
  /** Whether the server's connection can show a certificate: not in plain HTTP. */
  presentable: boolean
}

export type Identity = {
  /** What renewal presents; nothing where there is no certificate yet, or no TLS. */
  live: () => KeptIdentity | undefined
  keep: (given: Credentials) => Promise<void>
  /** @returns whether a restart can't find the certificate without what is pending */
  keepPending: (pending: PendingKey | undefined) => Promise<boolean>
  source(parts: { held: Held; keeper: Keeper; revoked: Revoked; closing: AbortSignal }): Source
}

export function createIdentity({ file, kept, origin, subject, presentable }: Parts): Identity {
  let current = kept

  return {
    live: () => (presentable ? current : undefined),
    async keep({ spiffeId, workload, session, x509 }) {
      if (!x509) return
      const { certificateChain, trustBundle, privateKey, serialNumber, notAfter, renewAfter } = x509
      const [, trustDomain = ''] = /^spiffe:\/\/([^/]+)/.exec(spiffeId) ?? []
      current = {
        origin,
        subject,
        trustDomain,
        spiffeId,
        workload,
        session,
        certificateChain,
        trustBundle,
        privateKey,
        serialNumber,
        notAfter,
        renewAfter,
      }
      await file?.write(current)
    },
    async keepPending(pending) {
      return !current || !file || file.write({ ...current, pending })
    },
    source: ({ held, keeper, revoked, closing }) => ({
      get trustDomain() {
        return current?.trustDomain ?? ''
      },
      identity() {
        if (closing.aborted) throw closing.reason
        const x509 = held.x509()
        if (!x509) throw new PurserError('not_requested', 'no certificate was asked for: connect without x509: false')
        const { value, leftMs } = x509
        if (leftMs <= 0) throw expired(value.notAfter, keeper.lastError())
        return { ...value, trustBundle: keeper.roots(), spiffeId: held.newest().spiffeId }
      },
      onIdentity: keeper.onIdentity,
      revoked,
      closing,
    }),
  }
}

function expired(notAfter: Date, cause: PurserError | undefined): PurserError {
  const why = cause ? `: ${cause.message}` : ', and its renewal is under way'
  return new PurserError('expired', `the certificate ended at ${notAfter.toISOString()}${why}`, {
    cause,
    requestId: cause?.requestId,
    status: cause?.status,
    retryAfterSeconds: cause?.retryAfterSeconds,
  })
}
