import { VerifyError, type VerifyCode } from './errors.ts'

/**
 * Standard base64 (RFC 4648 §4) with padding, and nothing else: Buffer.from skips characters that it does not know and
 * takes base64url too, so two texts would stand for the same bytes.
 * @param length the number of bytes that it must hold, if that is fixed
 */
export function decodeBase64(text: unknown, length?: number, code: VerifyCode = 'bad_base64'): Buffer {
  if (typeof text !== 'string') throw new VerifyError(code, 'base64 text expected')
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new VerifyError(code, 'not standard base64 with padding')
  if (length !== undefined && bytes.length !== length) {
    throw new VerifyError(code, `${length} bytes expected, got ${bytes.length}`)
  }
  return bytes
}
