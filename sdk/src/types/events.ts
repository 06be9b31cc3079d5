/** Events of a connected client, for logs and metrics. No event holds a key or a token. */
import type { Heads, PurserError } from '../errors.ts'

export type Events = {
  /** A new certificate, new tokens, or another role in a database are in use. */
  renewed: { serialNumber: string | undefined; notAfter: Date | undefined; by: 'certificate' | 'proof' }
  /** Three quarters of the certificate's lifetime have passed, and its renewal has failed so far. */
  expiring: { notAfter: Date; error: PurserError | undefined }
  /** The certificate has expired. Whatever needs it fails with `expired` until a renewal succeeds. */
  expired: { notAfter: Date; error: PurserError | undefined }
  /** Purser is unreachable, unverified, or unable to serve. The client goes on with the credentials that it holds. */
  disconnected: { error: PurserError }
  reconnected: { afterMs: number }
  /** The roots or JWT keys of the trust domain changed. */
  bundle: { sequence: number | undefined }
  /** Two signed heads of one log contradict each other. Keep them as evidence. */
  fork: { error: PurserError; heads: Heads }
}

export type EventName = keyof Events
