/** Reads the body of a request. Its size is limited before it is parsed; its JSON is strict. */
import type { IncomingMessage } from 'node:http'
import { Refusal, refuse } from '../errors.ts'
import { JsonError, parseStrict } from '../json/strict.ts'
import { masked } from '../telemetry/mask.ts'
import { parsePairs } from './query.ts'

/** UTF-8 is the default and the only charset. */
const contentType = /^(application\/(?:json|x-www-form-urlencoded))(?:\s*;\s*charset="?utf-8"?)?$/i

type Body = { body: unknown; mediaType?: string }

/**
 * @param accepted nothing is read when `maxBodyBytes` is 0
 * @returns `body` is undefined when there is none
 * @throws Refusal `too_large`, `unsupported_media_type`, `invalid_json`, `invalid_request`
 */
export async function readBody(
  message: IncomingMessage,
  accepted: { maxBodyBytes: number; mediaTypes: readonly string[] },
): Promise<Body> {
  if (accepted.maxBodyBytes === 0) return { body: undefined }
  const { 'content-length': length, 'content-type': type, 'content-encoding': encoding } = message.headers
  if (encoding !== undefined && encoding !== 'identity') throw refuse('unsupported_media_type')
  if (length !== undefined && Number(length) > accepted.maxBodyBytes) throw refuse('too_large')
  const bytes = await collect(message, accepted.maxBodyBytes)
  if (bytes.length === 0) return { body: undefined }
  const mediaType = contentType.exec(type ?? '')?.[1]?.toLowerCase()
  if (mediaType === undefined || !accepted.mediaTypes.includes(mediaType)) throw refuse('unsupported_media_type')
  return { body: mediaType === 'application/json' ? parseJson(bytes) : parseForm(bytes), mediaType }
}

function parseJson(bytes: Buffer): unknown {
  try {
    return parseStrict(bytes)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    const detail = `refused: ${error.code.replaceAll('_', ' ')}`
    throw refuse('invalid_json', { errors: [{ pointer: masked(error.pointer ?? ''), detail }] })
  }
}

/** The members of a form of an OAuth client, each of which occurs once (RFC 6749 section 3.2). */
function parseForm(bytes: Buffer): Record<string, string> {
  const form: Record<string, string> = Object.create(null)
  for (const [name, value] of parsePairs(bytes.toString('latin1'))) {
    if (name in form) throw refuse('invalid_request', { errors: [{ pointer: '', detail: 'a parameter occurs twice' }] })
    form[name] = value
  }
  return form
}

function collect(message: IncomingMessage, max: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    message.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > max) {
        message.pause()
        reject(refuse('too_large'))
      } else chunks.push(chunk)
    })
    // The client closed the connection before the end of the body: a refusal, not a fault of the server.
    const onClose = (error?: Error): void => reject(error instanceof Refusal ? error : refuse('invalid_request'))
    message.on('end', () => {
      message.off('close', onClose)
      const [first, second] = chunks
      resolve(first && !second ? first : Buffer.concat(chunks))
    })
    message.on('error', onClose).on('close', onClose)
  })
}
