/** Whether a token still counts: asked of Purser (RFC 7662), whose word is used again for a few seconds. */
import { withDeadline } from '../time/deadline.ts'
import { PurserError, isUnreached, wordsOf } from '../errors.ts'
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

/** @throws PurserError `revoked`; with `require` also why it could not be asked */
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
  /** For how old an answer is; no setting of the clock moves it. */
  elapsed?: () => number
}

/** `at` is of `elapsed`: by a clock that was set back, an old word would be new. */
type Word = { active: boolean; at: number }

const defaultAgeSeconds = 10
/** While Purser is away, a token that counted this long ago still does. */
const maxAgeMs = 300_000
const maxKept = 1_000
/** Callers wait on this: sooner than whatever waits for them gives up. */
const timeoutMs = 3_000
/** After a question without an answer the next one waits this long, so that not every caller waits for the same. */
const pauseMs = 5_000

export function createRevocation(parts: Parts): Revocation {
  const { transport, authentication: credential, closing, warn, now, elapsed = elapsedMs } = parts
  // By what is signed: other signatures of the same claims are the same token (RFC 7515 has many texts for one).
  const words = createRecent<Word>(maxKept)
  const underWay = new Map<string, Promise<Word>>()
  let failed: { error: PurserError; at: number } | undefined
  let warned = false

  async function exchange(token: string): Promise<Answer> {
    const shown = credential()
    if (!shown) {
      throw new PurserError(
        'not_requested',
        'this client holds neither a certificate that Purser sees nor an access token',
      )
    }
    const body = JSON.stringify({ token })
    const request = { method: 'POST', path: '/api/v1/introspect', body, maxBytes: 64 * 1024, ...shown } as const
    return withDeadline(timeoutMs, [closing], 'asking Purser about a token', async (signal) => {
      try {
        return await transport.exchange(request, signal)
      } catch (error) {
        if (signal.aborted || !isUnreached(error)) throw error
        // The server may have closed the kept connection just then.
        transport.rest()
        return transport.exchange(request, signal)
      }
    })
  }

  async function ask(token: string, signed: string): Promise<Word> {
    const answer = await exchange(token)
    if (answer.status !== 200) throw refusalOf(answer, 'to say whether a token counts')
    const { active } = parseFields(answer.text, 'the body')
    if (typeof active !== 'boolean')
      throw new PurserError('bad_reply', "the server's answer does not say active or not")
    const word = { active, at: elapsed() }
    words.set(signed, word)
    failed = undefined
    warned = false
    return word
  }

  function shared(token: string, signed: string): Promise<Word> {
    if (failed && elapsed() - failed.at < pauseMs) return Promise.reject(failed.error)
    const asked = underWay.get(signed) ?? ask(token, signed).finally(() => underWay.delete(signed))
    underWay.set(signed, asked)
    return asked
  }

  /** Purser's word, or the one that it gave before; undefined where neither can be had. */
  async function wordOn(token: string, signed: string, mode: RevocationMode, ageMs: number): Promise<Word | undefined> {
    const before = words.get(signed)
    if (before && elapsed() - before.at < ageMs) return before
    try {
      return await shared(token, signed)
    } catch (error) {
      if (closing.aborted) throw error
      const failure = error instanceof PurserError ? error : new PurserError('bad_reply', wordsOf(error))
      if (failed?.error !== failure) failed = { error: failure, at: elapsed() }
      if (mode === 'require') throw failure
      if (before && (!before.active || elapsed() - before.at < maxAgeMs)) return before
      if (!warned) {
        warn(`tokens are accepted without Purser's word on whether they were revoked: ${failure.message}`)
      }
      warned = true
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
    const word = await wordOn(token, signed, revocation, revocationMaxAgeSeconds * 1000)
    if (!word || word.active) return
    // Purser allows for no difference of clocks: to it, this one is over.
    if (exp * 1000 <= now()) throw badToken('exp', `it ended at ${new Date(exp * 1000).toISOString()}`)
    throw new PurserError('revoked', 'the token was revoked, or the session that it was issued to is over')
  }
}
