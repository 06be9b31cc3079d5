/** A streamed answer: its time to the header and between chunks is bounded, its length is not. */
import { type IncomingHttpHeaders, type IncomingMessage, request as startRequest } from 'node:http'
import type { Address } from './address.ts'
import { abortedBy, withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { type Anchors, openConnection } from './handshake.ts'
import { type Request, type Answer, headersOf, answerError, readAnswer } from './http.ts'

export type Streamed = { status: 200; headers: IncomingHttpHeaders; chunks: AsyncIterable<Uint8Array> }
export type OpenRequest = Omit<Request, 'method' | 'body' | 'onSent' | 'onAnswer'> & { lastEventId?: string }

type Parts = { address: Address; anchors: (signal: AbortSignal) => Promise<Anchors>; timeoutMs: number }

/** Purser sends something every 15 seconds; three missed intervals mean that the connection is dead. */
const maxSilenceMs = 45_000

/**
 * Opens a stream on its own connection, which ends with `signal`. Returns a regular answer for a status other than 200.
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
  const stopListening = (): void => signal.removeEventListener('abort', end)
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
      return { status: 200, headers, chunks: chunksOf(message, life, address, stopListening) }
    }
    const answer = await withDeadline(timeoutMs, [life.signal], what, () => readAnswer(message, request, address))
    if (answer.status === 200)
      throw new PurserError('bad_reply', `${address.origin} did not answer with an event stream`)
    stopListening()
    life.abort()
    return answer
  } catch (error) {
    stopListening()
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
      reject(new PurserError('bad_reply', `${address.origin} answered 101, which was not requested`))
    })
    outgoing.on('response', (response) => {
      // Ignores errors after the end, and of an answer that is not read.
      response.on('error', () => undefined)
      resolve(response)
    })
    outgoing.end()
  })
}

async function* chunksOf(
  message: IncomingMessage,
  life: AbortController,
  { origin }: Address,
  onEnd: () => void,
): AsyncGenerator<Uint8Array> {
  let silence: NodeJS.Timeout | undefined
  const onData = (): void => {
    clearTimeout(silence)
    const reason = new PurserError('timeout', `${origin} sent nothing for ${maxSilenceMs / 1000} s`)
    silence = setTimeout(() => life.abort(reason), maxSilenceMs).unref()
  }
  try {
    onData()
    for await (const chunk of message) {
      onData()
      yield Buffer.from(chunk)
    }
    if (!message.complete) throw new PurserError('incomplete', `${origin} closed the connection`)
  } catch (error) {
    if (life.signal.aborted) throw life.signal.reason
    if (error instanceof PurserError) throw error
    throw new PurserError('incomplete', `${origin} closed the connection`, { cause: error })
  } finally {
    clearTimeout(silence)
    onEnd()
    life.abort(new PurserError('aborted', 'finished'))
  }
}
