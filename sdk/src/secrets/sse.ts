/** Server-sent events (HTML Living Standard, section 9.2.6), read from bytes of anybody's: bounded, and strict UTF-8. */
import { PurserError } from '../errors.ts'

export type ServerEvent = { name: string; data: string; id: string | undefined }

/** Of a line, and of all data of an event: far more than any of Purser's. */
const max = 64 * 1024

const bad = (why: string): PurserError => new PurserError('bad_reply', `what the server tells is ${why}`)

/**
 * An event whose blank line doesn't come is none, as the standard says: it was cut off in its middle.
 * @throws PurserError `bad_reply`, and what `chunks` throws
 */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  let event: { name: string; data: string[]; size: number; id: string | undefined } = fresh()

  function take(line: string): ServerEvent | undefined {
    if (line === '') {
      const { name, data, id } = event
      event = fresh()
      return data.length === 0 ? undefined : { name, data: data.join('\n'), id }
    }
    const at = line.indexOf(':')
    const field = at < 0 ? line : line.slice(0, at)
    const value = at < 0 ? '' : line.slice(at + 1).replace(/^ /, '')
    if (field === 'event') event.name = value
    else if (field === 'id' && !value.includes('\0')) event.id = value
    else if (field === 'data') {
      event.data.push(value)
      event.size += value.length
      if (event.size > max) throw bad('longer than any event of Purser')
    }
    return undefined
  }

  for await (const chunk of chunks) {
    try {
      rest += decoder.decode(chunk, { stream: true })
    } catch {
      throw bad('no UTF-8')
    }
    // A carriage return at the end may be half of a line end.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    if (rest.length > max) throw bad('a line longer than any of Purser')
    for (const line of lines) {
      if (line.length > max) throw bad('a line longer than any of Purser')
      const whole = take(line)
      if (whole) yield whole
    }
  }
}

const fresh = () => ({ name: 'message', data: [], size: 0, id: undefined })
