/** Reads a body: bounded before it is parsed, strict when it is. */
import type { IncomingMessage } from 'node:http'
import { refuse } from '../errors.ts'
import { JsonError, parseStrict } from '../json/strict.ts'
import { masked } from '../telemetry/mask.ts'

/** JSON in UTF-8, said so or not said at all; other charsets and encodings are refused rather than guessed. */
const jsonType = /^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i

/**
 * @param most bytes
 * @returns `undefined` where there is no body
 * @throws Refusal `too_large`, `unsupported_media_type`, `invalid_json`
 */
export async function readBody(message: IncomingMessage, most: number): Promise<unknown> {
  const { 'content-length': length, 'content-type': type, 'content-encoding': encoding } = message.headers
  if (encoding !== undefined && encoding !== 'identity') throw refuse('unsupported_media_type')
  if (length !== undefined && Number(length) > most) throw refuse('too_large')
  const bytes = await collect(message, most)
  if (bytes.length === 0) return undefined
  if (type === undefined || !jsonType.test(type)) throw refuse('unsupported_media_type')
  try {
    return parseStrict(bytes)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const detail = `refused: ${error.code.replaceAll('_', ' ')}`
    throw refuse('invalid_json', { errors: [{ pointer: masked(error.pointer ?? ''), detail }] })
  }
}

function collect(message: IncomingMessage, most: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    message.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > most) {
        message.pause()
        reject(refuse('too_large'))
      } else chunks.push(chunk)
    })
    // The sender went away in the middle: its doing, not a fault of ours.
    const onGone = (): void => reject(refuse('invalid_request'))
    message.on('end', () => {
      message.off('close', onGone)
      const [first, second] = chunks
      resolve(first && !second ? first : Buffer.concat(chunks))
    })
    message.on('error', onGone).on('close', onGone)
  })
}
