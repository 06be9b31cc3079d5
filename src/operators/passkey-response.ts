/** Reads the parts of a WebAuthn response that Purser judges itself, so that the log can say what was wrong. */
import { createHash } from 'node:crypto'

/** Why a response is refused. For the log: callers learn nothing. */
export class PasskeyFault extends Error {
  constructor(cause: string) {
    super(cause)
    this.name = 'PasskeyFault'
  }
}

type Expected = { type: 'webauthn.create' | 'webauthn.get'; origin: string }

function parsed(clientDataJSON: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(clientDataJSON, 'base64url').toString())
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch {
    // The same as another value.
  }
  throw new PasskeyFault('the client data is no JSON object')
}

/**
 * The data that the browser signs (WebAuthn section 5.8.1).
 * @throws PasskeyFault
 */
export function readClientData(clientDataJSON: string, expected?: Expected): { challenge: string } {
  const { type, origin, challenge, crossOrigin } = parsed(clientDataJSON)
  if (typeof challenge !== 'string') throw new PasskeyFault('the client data has no challenge')
  if (expected && type !== expected.type) throw new PasskeyFault('the response is of another ceremony')
  if (expected && origin !== expected.origin) throw new PasskeyFault('the response is for another origin')
  if (expected && crossOrigin === true) throw new PasskeyFault('the response is of a page within another page')
  return { challenge }
}

/** Of authenticator data: RP ID hash, flags, signature counter (WebAuthn section 6.1). */
const headBytes = 37
const userVerified = 0x04

/** @throws PasskeyFault */
export function readAuthenticatorData(data: Uint8Array, rpId: string): { counter: number } {
  if (data.length < headBytes) throw new PasskeyFault('the authenticator data is too short')
  const head = Buffer.from(data.subarray(0, headBytes))
  const isOurs = head.subarray(0, 32).equals(createHash('sha256').update(rpId).digest())
  if (!isOurs) throw new PasskeyFault('the response is for another relying party')
  if ((head.readUInt8(32) & userVerified) === 0) throw new PasskeyFault('the authenticator did not verify its user')
  return { counter: head.readUInt32BE(33) }
}

/**
 * The authenticator data of an attestation. Statements with certificates are refused: none was requested, and a browser
 * removes those of authenticators that send one all the same (WebAuthn section 5.1.3).
 * @throws PasskeyFault
 */
export async function readAttestation(attestationObject: string): Promise<Uint8Array> {
  const { decodeAttestationObject } = await import('@simplewebauthn/server/helpers')
  try {
    const attestation = decodeAttestationObject(new Uint8Array(Buffer.from(attestationObject, 'base64url')))
    const data: unknown = attestation.get('authData')
    const isSelfSigned = attestation.get('fmt') === 'packed' && attestation.get('attStmt').get('x5c') === undefined
    if (data instanceof Uint8Array && (attestation.get('fmt') === 'none' || isSelfSigned)) return data
  } catch {
    // The same as a statement that is refused.
  }
  throw new PasskeyFault('the attestation is malformed, or has a statement that was not requested')
}
