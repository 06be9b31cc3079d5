/** Reads server-sent events (HTML Living Standard, section 9.2.6) from untrusted bytes: bounded, and strict UTF-8. */
import { PurserError } from '../errors.ts'

export type ServerEvent = { name: string; data: string; id: string | undefined }

/** Characters of a line, and of an event's data. Purser's events are far shorter. */
const maxLength = 64 * 1024

const bad = (why: string): PurserError => new PurserError('bad_reply', `the server's event stream ${why}`)

/**
 * An event without its closing blank line was cut off, and is ignored as the standard says.
 * @throws PurserError `bad_reply`, and what `chunks` throws
 */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  let event: { name: string; data: string[]; size: number; id: string | undefined } = fresh()

  function readLine(line: string): ServerEvent | undefined {
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
      if (event.size > maxLength) throw bad('has an event of more than 64 KiB')
    }
    return undefined
  }

  for await (const chunk of chunks) {
    try {
      rest += decoder.decode(chunk, { stream: true })
    } catch {
      throw bad('is not UTF-8')
    }
    // A carriage return at the end may be the first half of a line end.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    if (rest.length > maxLength) throw bad('has a line of more than 64 KiB')
    for (const line of lines) {
      if (line.length > maxLength) throw bad('has a line of more than 64 KiB')
      const complete = readLine(line)
      if (complete) yield complete
    }
  }
}

const fresh = () => ({ name: 'message', data: [], size: 0, id: undefined })
