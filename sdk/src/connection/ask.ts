import { pause } from '../time/deadline.ts'
import { type Fields, parseFields } from '../json/fields.ts'
import { refusalOf, retryAfter } from './refusal.ts'
import type { Transport } from './transport.ts'
import type { Request, Answer } from './http.ts'

/** Seconds: a server that is busy for longer is the caller's to come back to. */
const maxWait = 5

export type Asked = { json: Fields; answer: Answer }

/**
 * One question and its JSON. A server that is busy or can't record now (429, 503) is asked once more, after the few
 * seconds that its Retry-After names; nothing else is tried again.
 * @param what is asked for, in words
 * @throws PurserError
 */
export async function ask(transport: Transport, request: Request, what: string, signal: AbortSignal): Promise<Asked> {
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
  if (answer.status < 200 || answer.status > 299) throw refusalOf(answer, what)
  return { json: parseFields(answer.text, 'the body'), answer }
}
