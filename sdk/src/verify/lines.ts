import { MAX_LINE } from './export-lines.ts'

/**
 * Splits bytes into lines for verifyExport, with at most one line in memory. A line that is too long is cut just above the
 * limit, so that verifyExport refuses it in its place.
 * @param chunks UTF-8, such as a file's read stream
 */
export async function* linesOf(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<string> {
  // Invalid UTF-8 becomes U+FFFD: the entry then has another hash, and its index is reported.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let line = ''
  for await (const chunk of chunks) {
    const parts = decoder.decode(chunk, { stream: true }).split('\n')
    for (const part of parts.slice(0, -1)) {
      yield join(line, part)
      line = ''
    }
    line = join(line, parts.at(-1) ?? '')
  }
  line = join(line, decoder.decode())
  if (line !== '') yield line
}

const join = (line: string, part: string) => (line.length > MAX_LINE ? line : line + part.slice(0, MAX_LINE + 1))
