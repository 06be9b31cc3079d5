/** An answer that goes on: bounded in the time to its head and between its parts, and in nothing else. */
import { type IncomingHttpHeaders, type IncomingMessage, request as startRequest } from 'node:http'
import type { Address } from './address.ts'
import { abortedBy, withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { type Anchors, openConnection } from './handshake.ts'
import { type Request, type Answer, headersOf, answerError, readAnswer } from './http.ts'

export type Streamed = { status: 200; headers: IncomingHttpHeaders; chunks: AsyncIterable<Uint8Array> }
export type OpenRequest = Omit<Request, 'method' | 'body' | 'onSent' | 'onAnswer'> & { lastEventId?: string }

type Parts = { address: Address; anchors: (signal: AbortSignal) => Promise<Anchors>; timeoutMs: number }

/** Purser says something every 15 seconds: three times without a word, and nobody is there. */
const silenceMs = 45_000

/**
 * On a connection of its own, which ends with `signal`. Another status than 200 comes as an answer like any other.
 * @throws PurserError
 */
export async function openStream(
  { address, anchors, timeoutMs }: Parts,
  request: OpenRequest,
  signal: AbortSignal,
): Promise<Answer | Streamed> {
  const life = new AbortController()
  const end = (): void => life.abort(abortedBy(signal))
  if (signal.aborted) throw abortedBy(signal)
  signal.addEventListener('abort', end, { once: true })
  const over = (): void => signal.removeEventListener('abort', end)
  try {
    const what = `GET ${address.origin}${request.path.split('?')[0] ?? ''}`
    const message = await withDeadline(timeoutMs, [life.signal], what, async (within) => {
      const socket = await openConnection(address, await anchors(within), within, request.as)
      if (life.signal.aborted) socket.destroy()
      life.signal.addEventListener('abort', () => socket.destroy(), { once: true })
      return headOf(request, address, socket)
    })
    const { statusCode, headers } = message
    if (statusCode === 200 && /^text\/event-stream\b/.test(headers['content-type'] ?? '')) {
      return { status: 200, headers, chunks: partsOf(message, life, address, over) }
    }
    const answer = await withDeadline(timeoutMs, [life.signal], what, () => readAnswer(message, request, address))
    if (answer.status === 200) throw new PurserError('bad_reply', `${address.origin} answered with no stream of events`)
    over()
    life.abort()
    return answer
  } catch (error) {
    over()
    life.abort()
    throw error
  }
}

function headOf(
  request: OpenRequest,
  address: Address,
  socket: Awaited<ReturnType<typeof openConnection>>,
): Promise<IncomingMessage> {
  const { path, lastEventId } = request
  const headers = {
    ...headersOf({ ...request, method: 'GET' }, address),
    accept: 'text/event-stream',
    ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
  }
  return new Promise((resolve, reject) => {
    const outgoing = startRequest({ createConnection: () => socket, path, headers, maxHeaderSize: 16_384 })
    outgoing.on('error', (error) => reject(answerError(error, address)))
    outgoing.on('upgrade', () => {
      socket.destroy()
      reject(new PurserError('bad_reply', `${address.origin} answered 101, which was not asked for`))
    })
    outgoing.on('response', (response) => {
      // What comes after its end, or of an answer that nobody reads, goes nowhere.
      response.on('error', () => undefined)
      resolve(response)
    })
    outgoing.end()
  })
}

async function* partsOf(
  message: IncomingMessage,
  life: AbortController,
  { origin }: Address,
  over: () => void,
): AsyncGenerator<Uint8Array> {
  let silence: NodeJS.Timeout | undefined
  const hear = (): void => {
    clearTimeout(silence)
    const why = new PurserError('timeout', `${origin} said nothing for ${silenceMs / 1000} s`)
    silence = setTimeout(() => life.abort(why), silenceMs).unref()
  }
  try {
    hear()
    for await (const chunk of message) {
      hear()
      yield Buffer.from(chunk)
    }
    if (!message.complete) throw new PurserError('incomplete', `${origin} broke off`)
  } catch (error) {
    if (life.signal.aborted) throw life.signal.reason
    if (error instanceof PurserError) throw error
    throw new PurserError('incomplete', `${origin} broke off`, { cause: error })
  } finally {
    clearTimeout(silence)
    over()
    life.abort(new PurserError('aborted', 'over'))
  }
}
