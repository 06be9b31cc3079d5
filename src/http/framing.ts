/** Checks of a message before its path is read (RFC 9112): its end is unambiguous, and its headers are few. */
import type { IncomingMessage } from 'node:http'
import type { RefusalCode } from '../errors.ts'

const maxHeaders = 100

/**
 * A chunked body is refused (RFC 9112 section 6.3 allows 411): Node's parser accepts chunk extensions, which
 * intermediaries interpret differently, and has no option to refuse them.
 */
export function faultOfFraming({ headers, rawHeaders, httpVersionMinor }: IncomingMessage): RefusalCode | undefined {
  if (headers['transfer-encoding'] !== undefined) return 'length_required'
  if (rawHeaders.length > 2 * maxHeaders) return 'headers_too_large'
  if (headers.host === undefined && httpVersionMinor > 0) return 'bad_http'
  return undefined
}
