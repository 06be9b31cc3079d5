/** Token revocation by introspection (RFC 7662). Purser's answer is reused for a few seconds. */
import { withDeadline } from '../time/deadline.ts'
import { PurserError, isUnreached, purserErrorFrom } from '../errors.ts'
import { parseFields } from '../json/fields.ts'
import { refusalOf } from '../connection/refusal.ts'
import type { Transport } from '../connection/transport.ts'
import { badToken } from './bad-token.ts'
import type { Authentication } from '../identity/authentication.ts'
import { createRecent } from './recent.ts'
import type { VerifyJwtOptions } from '../types/jwt.ts'
import { elapsedMs } from '../time/lifetime.ts'
import type { Answer } from '../connection/http.ts'

type RevocationMode = NonNullable<VerifyJwtOptions['revocation']>

/** @throws PurserError `revoked`; with `require` also the reason why Purser is unavailable */
export type Revocation = (
  token: { token: string; signed: string; exp: number },
  options: Pick<VerifyJwtOptions, 'revocation' | 'revocationMaxAgeSeconds'>,
) => Promise<void>

type Parts = {
  transport: Pick<Transport, 'exchange' | 'rest'>
  authentication: Authentication
  closing: AbortSignal
  warn: (warning: string) => void
  /** The wall clock, for the end of tokens. */
  now: () => number
  /** Measures the age of answers. */
  elapsed?: () => number
}

/** `at` is by `elapsed`: a wall clock that was set back would make an old answer look new. */
type Verdict = { active: boolean; at: number }

const defaultAgeSeconds = 10
/** The maximum age of an answer while Purser is away. */
const maxAgeMs = 300_000
const maxVerdicts = 1_000
/** Short, since callers of the service wait for it. */
const timeoutMs = 3_000
/** Pause after a failure, so that not every caller waits for the timeout. */
const pauseMs = 5_000

export function createRevocation(parts: Parts): Revocation {
  const { transport, authentication, closing, warn, now, elapsed = elapsedMs } = parts
  // Keyed by the signed part, since one token has several texts (RFC 7515).
  const verdicts = createRecent<Verdict>(maxVerdicts)
  const pending = new Map<string, Promise<Verdict>>()
  let lastFailure: { error: PurserError; at: number } | undefined
  let hasWarned = false

  async function exchange(token: string): Promise<Answer> {
    const credential = authentication()
    if (!credential) {
      throw new PurserError(
        'not_requested',
        'this client has neither a certificate that reaches Purser nor an access token',
      )
    }
    const body = JSON.stringify({ token })
    const request = { method: 'POST', path: '/api/v1/introspect', body, maxBytes: 64 * 1024, ...credential } as const
    return withDeadline(timeoutMs, [closing], 'introspecting a token', async (signal) => {
      try {
        return await transport.exchange(request, signal)
      } catch (error) {
        if (signal.aborted || !isUnreached(error)) throw error
        // The server may have just closed the idle connection.
        transport.rest()
        return transport.exchange(request, signal)
      }
    })
  }

  async function introspect(token: string, signed: string): Promise<Verdict> {
    const answer = await exchange(token)
    if (answer.status !== 200) throw refusalOf(answer, 'to introspect a token')
    const { active } = parseFields(answer.text, 'the body')
    if (typeof active !== 'boolean') throw new PurserError('bad_reply', "the server's answer does not contain active")
    const verdict = { active, at: elapsed() }
    verdicts.set(signed, verdict)
    lastFailure = undefined
    hasWarned = false
    return verdict
  }

  function sharedIntrospection(token: string, signed: string): Promise<Verdict> {
    if (lastFailure && elapsed() - lastFailure.at < pauseMs) return Promise.reject(lastFailure.error)
    const verdict = pending.get(signed) ?? introspect(token, signed).finally(() => pending.delete(signed))
    pending.set(signed, verdict)
    return verdict
  }

  /** Purser's answer, or an earlier one; undefined if neither is available. */
  async function verdictOn(
    token: string,
    signed: string,
    mode: RevocationMode,
    ageMs: number,
  ): Promise<Verdict | undefined> {
    const cached = verdicts.get(signed)
    if (cached && elapsed() - cached.at < ageMs) return cached
    try {
      return await sharedIntrospection(token, signed)
    } catch (error) {
      if (closing.aborted) throw error
      const failure = purserErrorFrom(error)
      if (lastFailure?.error !== failure) lastFailure = { error: failure, at: elapsed() }
      if (mode === 'require') throw failure
      if (cached && (!cached.active || elapsed() - cached.at < maxAgeMs)) return cached
      if (!hasWarned) warn(`tokens are accepted without a revocation check: ${failure.message}`)
      hasWarned = true
      return undefined
    }
  }

  return async ({ token, signed, exp }, { revocation = 'ask', revocationMaxAgeSeconds = defaultAgeSeconds }) => {
    if (!['ask', 'require', 'off'].includes(revocation)) {
      throw new PurserError('bad_options', "revocation is 'ask', 'require' or 'off'")
    }
    if (!(revocationMaxAgeSeconds >= 0 && revocationMaxAgeSeconds <= maxAgeMs / 1000)) {
      throw new PurserError('bad_options', 'revocationMaxAgeSeconds is a number from 0 to 300')
    }
    if (revocation === 'off') return
    const verdict = await verdictOn(token, signed, revocation, revocationMaxAgeSeconds * 1000)
    if (!verdict || verdict.active) return
    // Purser allows no clock skew: for Purser, this token has expired.
    if (exp * 1000 <= now()) throw badToken('exp', `it ended at ${new Date(exp * 1000).toISOString()}`)
    throw new PurserError('revoked', 'the token was revoked, or its session has ended')
  }
}
