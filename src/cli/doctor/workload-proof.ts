/** Checks the proof of this workload: issuer, audience and lifetime. The proof is read, but not sent. */
import { Refusal } from '../../errors.ts'
import { readProofText } from '../../attest/proof-text.ts'
import { findProof, isJoinToken, projectedToken } from '../proof-source.ts'
import { type Io, codeOf } from '../io.ts'
import { type Finding, collectOr, fail, note, ok, warn } from './finding.ts'

const check = 'proof'
const why = 'this workload attests with it'

/** @param audiences the audiences of the server, if it answered */
export function checkProof(
  { env, readFile }: Pick<Io, 'env' | 'readFile'>,
  audiences: readonly string[] | undefined,
  now: Date,
): Finding[] {
  const proof = findProof({ env, readFile })
  if (!env.PURSER_PROOF_FILE && env.PURSER_JOIN_TOKEN && env.PURSER_JOIN_TOKEN_FILE) {
    const both = 'the SDK cannot know which one to use, so it uses neither'
    const what = 'PURSER_JOIN_TOKEN and PURSER_JOIN_TOKEN_FILE are both set'
    return [fail(check, what, { why: both, do: 'unset one of them' })]
  }
  // Only the SDK looks at other places, such as the variables of a CI job or the metadata of a cloud.
  if (!proof) {
    return [note(check, `not set: neither PURSER_PROOF_FILE nor PURSER_JOIN_TOKEN, and no file ${projectedToken}`)]
  }
  const { place: path, origin } = proof
  let text: string
  try {
    text = proof.read()
  } catch (error) {
    const remedy = 'mount a projected serviceAccountToken there, or set PURSER_PROOF_FILE to the right file'
    return [fail(check, `cannot read ${path} (${codeOf(error) ?? 'unknown'}; ${origin})`, { why, do: remedy })]
  }
  if (isJoinToken(text)) return [ok(check, `a join token in ${path} (${origin})`)]
  const claims = claimsOf(text)
  if (!claims) {
    const remedy = 'the file must hold only the token: three base64url parts, separated by dots'
    return [fail(check, `${path} holds neither a JWT nor a join token (${origin})`, { why, do: remedy })]
  }
  const expected = env.PURSER_AUDIENCE ? [env.PURSER_AUDIENCE] : audiences
  return collectOr(
    ok(check, `${path} (${origin}), issued by ${String(claims.iss)}, ${timeLeft(claims, now)}`),
    judgeSetting(env.PURSER_AUDIENCE, audiences),
    judgeAudience(claims, expected, path),
    judgeTimes(claims, now, path),
  )
}

function claimsOf(token: string): Record<string, unknown> | undefined {
  try {
    return readProofText(token).claims
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

function judgeSetting(audience: string | undefined, audiences: readonly string[] | undefined) {
  if (!audience || !audiences || audiences.includes(audience)) return undefined
  return fail(check, `PURSER_AUDIENCE is ${audience}, but the server accepts proofs for ${audiences.join(', ')}`, {
    why: 'the server refuses a proof with another audience',
    do: 'unset PURSER_AUDIENCE: the SDK then uses the audience of the server',
  })
}

function judgeAudience(
  { aud }: Record<string, unknown>,
  expected: readonly string[] | undefined,
  path: string,
): Finding | undefined {
  const actual = [aud].flat().map(String)
  if (!expected || actual.some((audience) => expected.includes(audience))) return undefined
  return fail(check, `its audience is ${actual.join(', ')}, not Purser (${expected.join(', ')})`, {
    why: 'the SDK does not send it: the recipient could use it at its audience',
    do: `request a token with audience ${expected[0] ?? ''} (in a pod: audience of the projected serviceAccountToken at ${path})`,
  })
}

/** Checks `exp` and `iat` (RFC 7519 section 4.1) by the clock of this machine. */
function judgeTimes({ exp, iat }: Record<string, unknown>, now: Date, path: string): Finding | undefined {
  const seconds = now.getTime() / 1000
  if (typeof exp === 'number' && exp <= seconds) {
    const remedy = `get a new token; a kubelet renews ${path} in time, so this may be a copy, or the clock may be wrong: date -u`
    return fail(check, `it expired ${ago(seconds - exp)} ago (${isoOf(exp)})`, { why, do: remedy })
  }
  if (typeof iat === 'number' && iat > seconds + 30) {
    return warn(check, `it was issued ${ago(iat - seconds)} in the future`, {
      why: 'the server refuses it until then',
      do: 'compare the clocks of both hosts: date -u',
    })
  }
  return undefined
}

const isoOf = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 19) + 'Z'

function ago(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`
}

function timeLeft({ exp, iat }: Record<string, unknown>, now: Date): string {
  const seconds = now.getTime() / 1000
  const age = typeof iat === 'number' ? `${ago(seconds - iat)} old` : 'age unknown'
  return typeof exp === 'number' ? `${age}, valid for ${ago(exp - seconds)}` : age
}
