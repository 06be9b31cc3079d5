import { createHash } from 'node:crypto'
import { refuse } from '../../errors.ts'
import { PasskeyFault } from '../../operators/passkey-response.ts'
import type { PasskeySite } from '../../operators/passkeys.ts'

export type SiteParts = {
  /** Absent: passkeys are off. */
  passkeySite?: PasskeySite
}

/** @throws Refusal `not_found` */
export function siteOf({ passkeySite }: SiteParts): PasskeySite {
  if (passkeySite) return passkeySite
  const detail =
    'passkeys are off: set PURSER_OPERATORS_URL to the https URL with a host name at which operators reach this server'
  throw refuse('not_found', { detail })
}

/** A passkey in the log: its credential id may identify the authenticator. */
export const credentialHash = (credentialId: Buffer): string => createHash('sha256').update(credentialId).digest('hex')

/** The cause of a refused response. @throws every other error */
export function causeOf(error: unknown): string {
  if (error instanceof PasskeyFault) return error.message
  throw error
}
