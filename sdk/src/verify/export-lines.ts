import { decodeBase64 } from './base64.ts'
import { isObject, parseCanonical } from './canonical.ts'
import { entryLeaf } from './commitment.ts'
import { VerifyError } from './errors.ts'
import { HASH_SIZE } from './merkle.ts'

/** UTF-16 code units. Longer lines are refused without parsing. */
export const MAX_LINE = 1024 * 1024

export type HeaderLine = {
  kind: 'header'
  origin: string
  epoch: number
  from: number
  to: number
  checkpoint: string
  left: Buffer[]
  right: Buffer[]
}
export type HashesLine = { kind: 'hashes'; first: number; leaves: Buffer[]; root?: Buffer }
/** `leaf` is computed from entry and nonce; `fault` is the reason if that is impossible. */
export type EntryLine = {
  kind: 'entry'
  epoch: number
  index: number
  leaf?: Buffer
  entry?: Record<string, unknown>
  fault?: string
  inclusion?: Buffer[]
}
export type RedactedLine = { kind: 'redacted'; epoch: number; index: number }
export type BadLine = { kind: 'bad'; why: string }

/** Parses a line of an export. It never throws: an unreadable line has the kind `bad`. */
export function parseLine(text: string): HeaderLine | HashesLine | EntryLine | RedactedLine | BadLine {
  if (text.length > MAX_LINE) return { kind: 'bad', why: 'the line is longer than 1 MiB' }
  try {
    const line: unknown = JSON.parse(text)
    if (!isObject(line)) return { kind: 'bad', why: 'the line is not a JSON object' }
    if ('purserExport' in line) return parseHeader(line)
    if ('hashes' in line) return parseHashes(line)
    const { epoch, index } = { epoch: number(line.epoch, 'epoch'), index: number(line.index, 'index') }
    if (line.redacted === true) return { kind: 'redacted', epoch, index }
    const inclusion = line.inclusion === undefined ? {} : { inclusion: hashList(line.inclusion, 'inclusion') }
    return { kind: 'entry', epoch, index, ...inclusion, ...readEntry(line) }
  } catch (error) {
    // JSON.parse throws SyntaxError; all functions of this package throw VerifyError.
    return { kind: 'bad', why: error instanceof VerifyError ? error.message : 'the line is not JSON' }
  }
}

function parseHeader(line: Record<string, unknown>): HeaderLine {
  const { purserExport, origin, checkpoint } = line
  if (purserExport !== 1) throw new VerifyError('bad_export', 'the export has an unknown version')
  if (typeof origin !== 'string' || typeof checkpoint !== 'string') {
    throw new VerifyError('bad_export', 'origin and checkpoint are text')
  }
  return {
    kind: 'header',
    origin,
    checkpoint,
    epoch: number(line.epoch, 'epoch'),
    from: number(line.from, 'from'),
    to: number(line.to, 'to'),
    left: hashList(line.left, 'left'),
    right: hashList(line.right, 'right'),
  }
}

function parseHashes(line: Record<string, unknown>): HashesLine {
  const bytes = decodeBase64(line.hashes, undefined, 'bad_export')
  if (bytes.length === 0 || bytes.length % HASH_SIZE !== 0) throw new VerifyError('bad_export', 'hashes have 32 bytes')
  const count = bytes.length / HASH_SIZE
  const leaves = Array.from({ length: count }, (_, i) => bytes.subarray(i * HASH_SIZE, (i + 1) * HASH_SIZE))
  const root = line.root === undefined ? {} : { root: decodeBase64(line.root, HASH_SIZE, 'bad_export') }
  return { kind: 'hashes', first: number(line.first, 'first'), leaves, ...root }
}

function readEntry({ entry, nonce }: Record<string, unknown>): Pick<EntryLine, 'leaf' | 'entry' | 'fault'> {
  if (typeof entry !== 'string' || typeof nonce !== 'string') return { fault: 'entry or nonce is missing' }
  try {
    return { leaf: entryLeaf(nonce, entry), entry: parseCanonical(entry) }
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    return { fault: `entry or nonce is malformed: ${error.message}` }
  }
}

function number(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new VerifyError('bad_export', `${what} is not a number from 0 to 2^53 - 1`)
  }
  return value
}

function hashList(value: unknown, what: string): Buffer[] {
  // A list of subtrees or a proof has at most twice as many hashes as the tree's 53 levels.
  if (!Array.isArray(value) || value.length > 106)
    throw new VerifyError('bad_export', `${what} is not a list of hashes`)
  return value.map((hash) => decodeBase64(hash, HASH_SIZE, 'bad_export'))
}
