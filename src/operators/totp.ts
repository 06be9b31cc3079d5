/** Time-based one-time codes (RFC 6238): SHA-1, six digits, steps of 30 seconds, as every authenticator app has them. */
import { Secret, TOTP } from 'otpauth'

const period = 30
/** RFC 4226 section 4 recommends 160 bits. */
export const totpSecretBytes = 20
/** Steps before and after the present one, for clocks that differ (RFC 6238 section 5.2). */
const window = 1

const secretOf = (bytes: Buffer): Secret => new Secret({ buffer: Uint8Array.from(bytes).buffer })

/** The secret in base32, and as the URI that an authenticator app scans. */
export function describeTotp(bytes: Buffer, operator: string, issuer: string): { secret: string; uri: string } {
  const secret = secretOf(bytes)
  return { secret: secret.base32, uri: new TOTP({ secret, label: operator, issuer, period, digits: 6 }).toString() }
}

/** The step that a code belongs to; undefined for a wrong code. */
export function stepOf(bytes: Buffer, code: string, now: Date): number | undefined {
  const timestamp = now.getTime()
  const delta = new TOTP({ secret: secretOf(bytes), period, digits: 6 }).validate({ token: code, timestamp, window })
  return delta === null ? undefined : Math.floor(timestamp / 1000 / period) + delta
}
