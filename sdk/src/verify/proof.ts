import { decodeBase64 } from './base64.ts'
import { VerifyError } from './errors.ts'
import { HASH_SIZE, requireSize } from './merkle.ts'

const HEADER = 'c2sp.org/tlog-proof@v1'
// A tree of 2^53 leaves has 53 levels.
const MAX_HASHES = 53

/** An inclusion proof with its checkpoint (C2SP tlog-proof). Nothing authenticates `extra`. */
export type Proof = { index: number; hashes: Buffer[]; checkpoint: string; extra?: Buffer }

/**
 * Formats a proof.
 * @param proof `checkpoint` is the signed note
 * @throws VerifyError `bad_proof`
 */
export function formatProof({ index, hashes, checkpoint, extra }: Proof): string {
  requireSize(index, 'index', 'bad_proof')
  const lines = [HEADER]
  if (extra) lines.push(`extra ${extra.toString('base64')}`)
  lines.push(`index ${index}`)
  for (const hash of hashes) lines.push(hash.toString('base64'))
  return `${lines.join('\n')}\n\n${checkpoint}`
}

/**
 * Parses a proof. It verifies neither signature nor inclusion.
 * @throws VerifyError `bad_proof`
 */
export function parseProof(text: unknown): Proof {
  if (typeof text !== 'string') throw new VerifyError('bad_proof', 'a proof is text')
  const end = text.indexOf('\n\n')
  if (end === -1) throw new VerifyError('bad_proof', 'a proof is its lines, a blank line, and a checkpoint')
  const lines = text.slice(0, end).split('\n')
  if (lines.shift() !== HEADER) throw new VerifyError('bad_proof', `a proof starts with ${HEADER}`)
  const extra = lines[0]?.startsWith('extra ')
    ? decodeBase64(lines.shift()?.slice('extra '.length), undefined, 'bad_proof')
    : undefined
  const [, digits] = /^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? '') ?? []
  if (digits === undefined) throw new VerifyError('bad_proof', 'the line for the index is missing or malformed')
  const index = Number(digits)
  requireSize(index, 'index', 'bad_proof')
  if (lines.length > MAX_HASHES) throw new VerifyError('bad_proof', `more than ${MAX_HASHES} hashes`)
  const hashes = lines.map((line) => decodeBase64(line, HASH_SIZE, 'bad_proof'))
  return { index, hashes, checkpoint: text.slice(end + 2), ...(extra && { extra }) }
}
