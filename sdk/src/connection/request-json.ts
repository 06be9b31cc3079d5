import { pause } from '../time/deadline.ts'
import { type Fields, parseFields } from '../json/fields.ts'
import { refusalOf, retryAfter } from './refusal.ts'
import type { Transport } from './transport.ts'
import type { Request, Answer } from './http.ts'

/** Seconds. A longer Retry-After is left to the caller. */
const maxWait = 5

/**
 * Sends a request and parses its JSON answer. Repeats it once if the server is busy or can't record now (429, 503) and its
 * Retry-After names a few seconds.
 * @param purpose in words: Purser refused `purpose`
 * @throws PurserError
 */
export async function requestJson(
  transport: Transport,
  request: Request,
  purpose: string,
  signal: AbortSignal,
): Promise<{ json: Fields; answer: Answer }> {
  const exchange = async (): Promise<Answer> => {
    const answer = await transport.exchange(request, signal)
    request.onAnswer?.(answer.status)
    return answer
  }
  let answer = await exchange()
  const wait = answer.status === 429 || answer.status === 503 ? retryAfter(answer) : undefined
  if (wait !== undefined && wait <= maxWait) {
    transport.rest()
    await pause(wait * 1000, signal)
    answer = await exchange()
  }
  if (answer.status < 200 || answer.status > 299) throw refusalOf(answer, purpose)
  return { json: parseFields(answer.text, 'the body'), answer }
}
