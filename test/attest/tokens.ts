/** Tokens that no well-meaning issuer creates: the test controls every byte of header, payload and signature. */
import { type KeyObject, createHmac, generateKeyPairSync, sign } from 'node:crypto'
import type { Attested, Attestor, AttestorParts } from '../../src/attest/attestor.ts'
import { readProofText } from '../../src/attest/proof-text.ts'
import { Refusal } from '../../src/errors.ts'
import { OutboundError } from '../../src/outbound/errors.ts'

export const audience = 'https://purser.example.org'
export const issuer = 'https://issuer.example'
export const now = new Date('2026-11-24T12:00:00Z')
export const seconds = Math.floor(now.getTime() / 1000)

export const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })

export const jwkOf = (key: KeyObject, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  ...key.export({ format: 'jwk' }),
  use: 'sig',
  ...more,
})

export const b64 = (value: string | Buffer): string => Buffer.from(value).toString('base64url')
const text = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

export const plain = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  iss: issuer,
  aud: audience,
  sub: 'web',
  iat: seconds - 10,
  exp: seconds + 300,
  jti: 'one',
  ...more,
})

/** Exactly these texts are signed. `signature` computes the third part from the first two. */
export function craft(header: unknown, payload: unknown, signature: (input: string) => Buffer): string {
  const input = `${b64(text(header))}.${b64(text(payload))}`
  return `${input}.${signature(input).toString('base64url')}`
}

export const rs256 =
  (key: KeyObject = rsa.privateKey) =>
  (input: string): Buffer =>
    sign('sha256', Buffer.from(input), key)
export const es256 =
  (key: KeyObject = ec.privateKey) =>
  (input: string): Buffer =>
    sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
export const hs256 =
  (secret: string | Buffer) =>
  (input: string): Buffer =>
    createHmac('sha256', secret).update(input).digest()

/** A valid RS256 token, except for the changes. */
export const token = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string =>
  craft({ alg: 'RS256', kid: 'r1', ...header }, plain(claims), rs256())

/** From the text of a proof, as `attest.ts` does once it knows the attestor. */
export const attestText = async (attestor: Attestor, text: string, at: Date): Promise<Attested> =>
  attestor.attest(readProofText(text), at)

/** The true code of a refusal, which callers never see. */
export async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    if (error instanceof Refusal) return error.code
    if (error instanceof OutboundError) return `outbound ${error.code}`
    throw error
  }
  return 'accepted'
}

export type LogLine = { event: string; note: string }

export function partsFor(outbound: AttestorParts['outbound'], more: Partial<AttestorParts> = {}) {
  const logLines: LogLine[] = []
  const say = (event: string, fields: { note?: string | undefined } = {}): void =>
    void logLines.push({ event, note: fields.note ?? '' })
  const clock = { at: 0 }
  const parts: AttestorParts = {
    outbound,
    clock: () => clock.at,
    readFile: async () => Promise.reject(new Error('no such file')),
    log: { info: say, warn: say },
    ...more,
  }
  return { parts, logLines, clock }
}

export const noNetwork: AttestorParts['outbound'] = {
  allows: () => false,
  fetchJson: () => Promise.reject(new OutboundError('unreachable', 'there is no network in this test')),
}
