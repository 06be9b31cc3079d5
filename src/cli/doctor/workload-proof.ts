/** The orchestrator's token, or a join token, where it was put for this workload: whose, for whom, and how long still. It is read and sent nowhere. */
import { Refusal } from '../../errors.ts'
import { readProofText } from '../../attest/proof-text.ts'
import { givenProof, isJoinToken, projectedToken } from '../given-proof.ts'
import type { Io } from '../io.ts'
import { type Finding, codeOf, fail, note, ok, warn } from './finding.ts'

const check = 'proof'
const why = 'it is what this workload proves with who it is'

/** @param audiences of the server, where it could be asked */
export function lookAtProof(
  { env, readFile }: Pick<Io, 'env' | 'readFile'>,
  audiences: readonly string[] | undefined,
  now: Date,
): Finding[] {
  const given = givenProof({ env, readFile })
  if (!env.PURSER_PROOF_FILE && env.PURSER_JOIN_TOKEN && env.PURSER_JOIN_TOKEN_FILE) {
    const both = 'which of them counts would be a guess, so the SDK takes neither'
    return [
      fail(check, 'PURSER_JOIN_TOKEN and PURSER_JOIN_TOKEN_FILE are both set', { why: both, do: 'unset one of them' }),
    ]
  }
  // Elsewhere (a CI job's variables, a cloud's metadata) only the SDK looks, and says what it found.
  if (!given) {
    return [note(check, `none is given: neither PURSER_PROOF_FILE nor PURSER_JOIN_TOKEN, nor a file ${projectedToken}`)]
  }
  const { place: path, source } = given
  let text: string
  try {
    text = given.read()
  } catch (error) {
    const remedy = 'mount a projected serviceAccountToken there, or name the right file in PURSER_PROOF_FILE'
    return [fail(check, `${path} can't be read (${codeOf(error) ?? 'unknown'}; ${source})`, { why, do: remedy })]
  }
  if (isJoinToken(text)) return [ok(check, `a join token in ${path} (${source})`)]
  const claims = claimsOf(text)
  if (!claims) {
    const remedy = 'it must hold the token alone: three parts in base64url with dots between'
    return [fail(check, `${path} holds no JWT and no join token (${source})`, { why, do: remedy })]
  }
  const wanted = env.PURSER_AUDIENCE ? [env.PURSER_AUDIENCE] : audiences
  const findings = [
    ...aboutSetting(env.PURSER_AUDIENCE, audiences),
    ...aboutAudience(claims, wanted, path),
    ...aboutTimes(claims, now, path),
  ]
  const { iss } = claims
  return findings.length > 0
    ? findings
    : [ok(check, `${path} (${source}), of ${String(iss)}, ${timeLeft(claims, now)}`)]
}

function claimsOf(token: string): Record<string, unknown> | undefined {
  try {
    return readProofText(token).claims
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

function aboutSetting(audience: string | undefined, audiences: readonly string[] | undefined): Finding[] {
  if (!audience || !audiences || audiences.includes(audience)) return []
  return [
    fail(check, `PURSER_AUDIENCE is ${audience}, and the server takes proofs for ${audiences.join(', ')}`, {
      why: 'it refuses a proof for anybody else',
      do: 'unset PURSER_AUDIENCE: the server says what it takes',
    }),
  ]
}

function aboutAudience(
  { aud }: Record<string, unknown>,
  wanted: readonly string[] | undefined,
  path: string,
): Finding[] {
  const named = [aud].flat().map(String)
  if (!wanted || named.some((one) => wanted.includes(one))) return []
  return [
    fail(check, `it is addressed to ${named.join(', ')}, and not to Purser (${wanted.join(', ')})`, {
      why: 'the SDK does not send it: whoever gets it could use it there',
      do: `request a token with audience ${wanted[0] ?? ''} (in a pod: audience of the projected serviceAccountToken at ${path})`,
    }),
  ]
}

/** Of `exp` and `iat` (RFC 7519 section 4.1), by this machine's clock. */
function aboutTimes({ exp, iat }: Record<string, unknown>, now: Date, path: string): Finding[] {
  const seconds = now.getTime() / 1000
  if (typeof exp === 'number' && exp <= seconds) {
    const remedy = `get a new one; a kubelet writes it to ${path} well before: is this a copy, or the clock wrong? date -u`
    return [fail(check, `it expired ${ago(seconds - exp)} ago (${isoOf(exp)})`, { why, do: remedy })]
  }
  if (typeof iat === 'number' && iat > seconds + 30) {
    const remedy = 'compare the clocks: date -u'
    return [
      warn(check, `it was made ${ago(iat - seconds)} in the future`, {
        why: 'the server refuses it until then',
        do: remedy,
      }),
    ]
  }
  return []
}

const isoOf = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 19) + 'Z'

function ago(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`
}

function timeLeft({ exp, iat }: Record<string, unknown>, now: Date): string {
  const seconds = now.getTime() / 1000
  const age = typeof iat === 'number' ? `${ago(seconds - iat)} old` : 'of unknown age'
  return typeof exp === 'number' ? `${age}, for ${ago(exp - seconds)} more` : age
}
