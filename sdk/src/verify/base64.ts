import { VerifyError, type VerifyCode } from './errors.ts'

/**
 * Decodes standard base64 with padding (RFC 4648 §4). It refuses all else: Buffer.from skips unknown characters and accepts
 * base64url, so several texts would decode to the same bytes.
 * @param length the required number of bytes
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
