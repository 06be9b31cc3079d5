/** A simple reader of server-sent events over TLS: the events in order, and how the stream ended. */
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestPurser } from './purser.ts'
import type { Client } from './https-fetch.ts'

type Event = { name: string; id?: string; data: Record<string, unknown> }

export type Reader = {
  status: number
  /** Events so far. */
  events: Event[]
  body: () => string
  /** Resolves when either side ends the stream. */
  ended: Promise<void>
  isEnded: () => boolean
  lastId: () => string | undefined
  message: IncomingMessage
  cut: () => void
}

export function watch(
  purser: TestPurser,
  query: string,
  { token, client, lastEventId }: { token?: string; client?: Client; lastEventId?: string | undefined } = {},
): Promise<Reader> {
  const headers = {
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
  }
  const ca = readFileSync(join(purser.dataDir, 'ca.pem'), 'utf8')
  return new Promise((resolve, reject) => {
    const outgoing = request(`${purser.url}/api/v1/watch${query}`, { ca, headers, agent: false, ...client })
    outgoing.on('error', reject)
    outgoing.on('response', (message) => {
      let text = ''
      let rest = ''
      let isOver = false
      const events: Event[] = []
      const ended = new Promise<void>((done) => {
        message.on('close', () => {
          isOver = true
          done()
        })
      })
      message.on('error', () => undefined)
      message.setEncoding('utf8')
      message.on('data', (chunk: string) => {
        text += chunk
        rest += chunk
        const whole = rest.slice(0, rest.lastIndexOf('\n\n') + 2)
        rest = rest.slice(whole.length)
        events.push(...whole.split('\n\n').flatMap(readEvent))
      })
      resolve({
        status: message.statusCode ?? 0,
        events,
        body: () => text,
        ended,
        isEnded: () => isOver,
        lastId: () => events.findLast((event) => event.id !== undefined)?.id,
        message,
        cut: () => void message.destroy(),
      })
    })
    outgoing.end()
  })
}

function readEvent(block: string): Event[] {
  const fields = block.split('\n').map((line): [string, string] => {
    const at = line.indexOf(': ')
    return [line.slice(0, at), line.slice(at + 2)]
  })
  const fieldOf = (name: string): string | undefined => fields.find(([key]) => key === name)?.[1]
  const [name, data, id] = [fieldOf('event'), fieldOf('data'), fieldOf('id')]
  if (name === undefined || data === undefined) return []
  return [{ name, data: JSON.parse(data) as Record<string, unknown>, ...(id !== undefined && { id }) }]
}
