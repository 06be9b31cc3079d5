/** The text is not PEM as RFC 7468 has it, with nothing around it. */
export class PemError extends Error {
  override readonly name = 'PemError'
}

/** One block, lines of 64, a newline at the end (RFC 7468 section 2). */
export function encodePem(label: string, der: Buffer): string {
  const base64 = der.toString('base64')
  const lines = [`-----BEGIN ${label}-----`]
  for (let at = 0; at < base64.length; at += 64) lines.push(base64.slice(at, at + 64))
  lines.push(`-----END ${label}-----\n`)
  return lines.join('\n')
}

/**
 * Exactly one block with one of these labels: no headers, no text around it but one newline at the end, canonical
 * base64. By hand and in linear time, for text from strangers; the caller bounds its length.
 */
export function decodePem(text: string, labels: readonly string[]): Buffer {
  const blocks = decodePemBlocks(text, labels, 1)
  const only = blocks[0]
  if (only === undefined) throw new PemError('no PEM block')
  return only
}

/** Blocks one after the other, by the same rules; none for an empty text. */
export function decodePemBlocks(text: string, labels: readonly string[], max: number): Buffer[] {
  const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
  if (lines.at(-1) === '') lines.pop()
  const blocks: Buffer[] = []
  for (let next = 0; next < lines.length;) {
    if (blocks.length === max) throw new PemError('more than one block, or text behind it')
    const label = labels.find((label) => lines[next] === `-----BEGIN ${label}-----`)
    if (label === undefined) throw new PemError('text that is not the expected PEM block')
    const end = lines.indexOf(`-----END ${label}-----`, next + 1)
    if (end === -1) throw new PemError('a block without its end')
    blocks.push(decodeBase64(lines.slice(next + 1, end).join('')))
    next = end + 1
  }
  return blocks
}

/** Buffer.from skips what it doesn't know, so the text must be what its bytes encode to. */
function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === 0 || bytes.toString('base64') !== text) throw new PemError('not canonical base64')
  return bytes
}
