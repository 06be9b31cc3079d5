/**
 * Passkeys (WebAuthn Level 3): what a browser is asked for, and whether its response is right. A passkey verifies its user by
 * a PIN or biometrics, so it is both factors of a login. Attestation is not requested.
 */
import { PasskeyFault, readAttestation, readAuthenticatorData, readClientData } from './passkey-response.ts'

/** Where operators log in. A passkey belongs to the host, and its responses to the origin (WebAuthn sections 5.1.3 and 7). */
export type PasskeySite = { readonly origin: string; readonly rpId: string }

/** As the browser encodes them: binary members are base64url. */
export type AttestationResponse = { id: string; clientDataJSON: string; attestationObject: string }
export type AssertionResponse = {
  id: string
  clientDataJSON: string
  authenticatorData: string
  signature: string
  userHandle: string
}

export type StoredKey = { credentialId: Buffer; publicKey: Buffer; counter: number; operatorId: string }
export type NewKey = { credentialId: Buffer; publicKey: Buffer; counter: number }

/** COSE algorithms: ES256, EdDSA and RS256. */
const algorithms = [-7, -8, -257]
/** The lifetime of the challenges, and how long the browser waits. */
const timeoutMs = 300_000

export const maxPasskeys = 10

const base64url = (text: string): string => Buffer.from(text).toString('base64url')

/** The members of `navigator.credentials.create({ publicKey })` in JSON (WebAuthn section 5.1.9). */
export const creationOptions = (
  { rpId }: PasskeySite,
  operator: { id: string; name: string },
  challenge: string,
  present: readonly { credentialId: Buffer }[],
) => ({
  rp: { id: rpId, name: 'Purser' },
  // The handle is no name: an authenticator shows it without verifying its user.
  user: { id: base64url(operator.id), name: operator.name, displayName: operator.name },
  challenge: base64url(challenge),
  pubKeyCredParams: algorithms.map((alg) => ({ type: 'public-key' as const, alg })),
  timeout: timeoutMs,
  excludeCredentials: present.map(({ credentialId }) => ({
    type: 'public-key' as const,
    id: credentialId.toString('base64url'),
  })),
  authenticatorSelection: {
    residentKey: 'required' as const,
    requireResidentKey: true,
    userVerification: 'required' as const,
  },
  attestation: 'none' as const,
})

/** Those of `navigator.credentials.get`. No credential is listed, so the options do not say which operators exist. */
export const requestOptions = ({ rpId }: PasskeySite, challenge: string) => ({
  challenge: base64url(challenge),
  rpId,
  timeout: timeoutMs,
  allowCredentials: [],
  userVerification: 'required' as const,
})

const library = () => import('@simplewebauthn/server')

/** The challenge that a response answers. @throws PasskeyFault */
export const challengeIn = ({ clientDataJSON }: Pick<AssertionResponse, 'clientDataJSON'>): string =>
  Buffer.from(readClientData(clientDataJSON).challenge, 'base64url').toString()

/** @throws PasskeyFault */
export async function verifyAttestation(
  { origin, rpId }: PasskeySite,
  { id, clientDataJSON, attestationObject }: AttestationResponse,
): Promise<NewKey> {
  const { challenge } = readClientData(clientDataJSON, { type: 'webauthn.create', origin })
  readAuthenticatorData(await readAttestation(attestationObject), rpId)
  const { verifyRegistrationResponse } = await library()
  const { verified, registrationInfo } = await verifyRegistrationResponse({
    response: {
      id,
      rawId: id,
      type: 'public-key',
      clientExtensionResults: {},
      response: { clientDataJSON, attestationObject },
    },
    expectedChallenge: challenge,
    expectedOrigin: origin,
    expectedRPID: rpId,
    requireUserVerification: true,
    supportedAlgorithmIDs: algorithms,
  }).catch(() => {
    throw new PasskeyFault('the attestation is malformed, or its key has another algorithm')
  })
  if (!verified || !registrationInfo) throw new PasskeyFault('the attestation does not verify')
  const { credential } = registrationInfo
  if (credential.id !== id) throw new PasskeyFault('the attestation has another credential id')
  return {
    credentialId: Buffer.from(credential.id, 'base64url'),
    publicKey: Buffer.from(credential.publicKey),
    counter: credential.counter,
  }
}

/**
 * @returns the new signature counter
 * @throws PasskeyFault
 */
export async function verifyAssertion(
  { origin, rpId }: PasskeySite,
  { id, clientDataJSON, authenticatorData, signature, userHandle }: AssertionResponse,
  { credentialId, publicKey, counter, operatorId }: StoredKey,
): Promise<number> {
  const { challenge } = readClientData(clientDataJSON, { type: 'webauthn.get', origin })
  const next = readAuthenticatorData(Buffer.from(authenticatorData, 'base64url'), rpId).counter
  if (userHandle !== base64url(operatorId)) throw new PasskeyFault('the passkey is of another operator')
  const { verifyAuthenticationResponse } = await library()
  const { verified } = await verifyAuthenticationResponse({
    response: {
      id,
      rawId: id,
      type: 'public-key',
      clientExtensionResults: {},
      response: { clientDataJSON, authenticatorData, signature, userHandle },
    },
    expectedChallenge: challenge,
    expectedOrigin: origin,
    expectedRPID: rpId,
    // The counter is compared below, with a cause of its own for the log.
    credential: { id: credentialId.toString('base64url'), publicKey: new Uint8Array(publicKey), counter: 0 },
    requireUserVerification: true,
  }).catch(() => {
    throw new PasskeyFault('the assertion is malformed')
  })
  if (!verified) throw new PasskeyFault('wrong signature')
  // WebAuthn section 7.2 step 22: an authenticator without a counter always says 0.
  if ((next > 0 || counter > 0) && next <= counter) throw new PasskeyFault('the signature counter went back')
  return next
}
