import asn1, { type Asn1 } from 'node-forge/lib/asn1.js'
import { tag, toDer } from './asn1.ts'

/** The bytes are not one DER value, or not of the expected shape. */
export class Asn1Error extends Error {
  override readonly name = 'Asn1Error'
  /** Bytes follow a value that is complete. */
  readonly trailing: boolean
  constructor(message: string, trailing = false) {
    super(message)
    this.trailing = trailing
  }
}

export type StrictLimits = { maxBytes: number; maxDepth: number }
const defaults: StrictLimits = { maxBytes: 16_384, maxDepth: 32 }

/**
 * Parses bytes that others sent. Forge reads BER (indefinite and non-minimal lengths, padded integers), so its tree is
 * believed only when encoding it again gives the same bytes, and after what a re-encoding
 * can't show has been looked at: `checkNode`. SET OF order is not checked; nothing that we read depends on it.
 */
export function fromDerStrict(der: Uint8Array, limits: Partial<StrictLimits> = {}): Asn1 {
  const { maxBytes, maxDepth } = { ...defaults, ...limits }
  if (der.length > maxBytes) throw new Asn1Error('larger than any value of this kind')
  const bytes = Buffer.from(der.buffer, der.byteOffset, der.length)
  const end = endOfFirst(bytes)
  if (end !== undefined && end < bytes.length) throw new Asn1Error('bytes follow the value', true)
  const tree = parse(bytes, maxDepth)
  checkNode(tree)
  if (!toDer(tree).equals(bytes)) throw new Asn1Error('not DER')
  return tree
}

function parse(bytes: Buffer, maxDepth: number): Asn1 {
  try {
    // decodeBitStrings would guess at the content of BIT STRINGs
    return asn1.fromDer(bytes.toString('latin1'), {
      strict: true,
      parseAllBytes: true,
      decodeBitStrings: false,
      maxDepth,
    })
  } catch {
    throw new Asn1Error('not DER')
  }
}

/** Where the first value ends by its own length, to tell trailing bytes from garbage. */
function endOfFirst(bytes: Buffer): number | undefined {
  const first = bytes[1]
  if (first === undefined || first === 0x80) return undefined
  if (first < 0x80) return 2 + first
  const count = first & 0x7f
  return count > 4 || bytes.length < 2 + count ? undefined : 2 + count + bytes.readUIntBE(2, count)
}

/** An arc of six bytes, or of five whose value has more than 32 bits: readers with 32-bit arcs take it for another. */
const wideArc = /[\x80-\xff]{5}|[\x90-\xff][\x80-\xff]{3}[^\x80-\xff]/

const constructedTypes: ReadonlySet<number> = new Set([tag.sequence, tag.set])

/** DER's rules that survive a round trip through forge (X.690 sections 8.1.2, 8.6.2, 8.19, 10.2, 11.1, 11.2). */
function checkNode(node: Asn1): void {
  if (node.type === 0x1f) throw new Asn1Error('a tag above 30')
  if (node.tagClass === 0 && node.constructed !== constructedTypes.has(node.type)) {
    throw new Asn1Error('a string in pieces, or a sequence without')
  }
  if (typeof node.value === 'string') {
    if (node.tagClass === 0) checkContent(node.type, node.bitStringContents ?? node.value)
  } else {
    for (const child of node.value) checkNode(child)
  }
}

function checkContent(type: number, content: string): void {
  const last = content.charCodeAt(content.length - 1)
  if (type === 0) throw new Asn1Error('an end-of-contents mark')
  if (type === tag.null && content !== '') throw new Asn1Error('a NULL with content')
  if (type === tag.boolean && content !== '\xff' && content !== '\x00') throw new Asn1Error('a BOOLEAN that is neither')
  if ((type === tag.integer || type === tag.enumerated) && content === '') throw new Asn1Error('an empty INTEGER')
  if (type === tag.oid && (!(last < 0x80) || /(?:^|[^\x80-\xff])\x80/.test(content)))
    throw new Asn1Error('a padded OID')
  if (type === tag.oid && wideArc.test(content)) throw new Asn1Error('an OID arc above 2^32')
  if (type === tag.bitString) {
    const unused = content.charCodeAt(0)
    const padding = content.length > 1 ? last & ((1 << unused) - 1) : unused
    if (!(unused <= 7) || padding !== 0) throw new Asn1Error('a BIT STRING with stray bits')
  }
}

/** The children of a constructed node of exactly this class and type. */
export function childrenOf(node: Asn1 | undefined, type: number, tagClass = 0): Asn1[] {
  if (node?.type !== type || node.tagClass !== tagClass || typeof node.value === 'string') {
    throw new Asn1Error('another structure was expected')
  }
  return node.value
}

/** The content of a primitive universal node; of a BIT STRING, the byte of unused bits first. */
export function contentOf(node: Asn1 | undefined, type: number): Buffer {
  if (node?.type !== type || node.tagClass !== 0 || typeof node.value !== 'string') {
    throw new Asn1Error('another structure was expected')
  }
  return Buffer.from(node.bitStringContents ?? node.value, 'latin1')
}

/** OIDs are compared as bytes: dotted text loses what doesn't fit a number (CVE-2025-66030). */
export const sameOid = (node: Asn1 | undefined, identifier: Asn1): boolean =>
  node?.type === tag.oid && node.tagClass === 0 && node.value === identifier.value
