/** What must hold of a message before its path is looked at (RFC 9112): one reading of where it ends, and few headers. */
import type { IncomingMessage } from 'node:http'
import type { RefusalCode } from '../errors.ts'

const maxHeaders = 100

/**
 * A body in chunks is refused (RFC 9112 section 6.3 allows 411): Node's parser takes chunk extensions, which
 * intermediaries read in different ways, and offers no switch against them.
 */
export function faultOfFraming({ headers, rawHeaders, httpVersionMinor }: IncomingMessage): RefusalCode | undefined {
  if (headers['transfer-encoding'] !== undefined) return 'length_required'
  if (rawHeaders.length > 2 * maxHeaders) return 'headers_too_large'
  if (headers.host === undefined && httpVersionMinor > 0) return 'bad_http'
  return undefined
}
