import asn1, { type Asn1 } from 'node-forge/lib/asn1.js'

/**
 * DER building blocks for everything that is X.509 here: each returns a tree of forge's, `toDer` makes its bytes.
 * Forge keeps bytes in strings of one character a byte, which is what `binary` makes.
 */
export type { Asn1 }

export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x10,
  set: 0x11,
} as const

const universal = 0x00
const contextSpecific = 0x80

const binary = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
const primitive = (type: number, content: string): Asn1 => asn1.create(universal, type, false, content)

export const sequence = (children: Asn1[]): Asn1 => asn1.create(universal, tag.sequence, true, children)
export const set = (children: Asn1[]): Asn1 => asn1.create(universal, tag.set, true, children)
const oids = new Map<string, string>()
/** Of our own text, and so of few: each is encoded once. */
export function oid(dotted: string): Asn1 {
  const content = oids.get(dotted) ?? asn1.oidToDer(dotted).getBytes()
  oids.set(dotted, content)
  return primitive(tag.oid, content)
}
export const nothing = (): Asn1 => primitive(tag.null, '')
export const boolean = (value: boolean): Asn1 => primitive(tag.boolean, value ? '\xff' : '\x00')
export const utf8 = (text: string): Asn1 => primitive(tag.utf8String, binary(Buffer.from(text, 'utf8')))
export const printable = (text: string): Asn1 => primitive(tag.printableString, text)
export const enumerated = (value: number): Asn1 => primitive(tag.enumerated, String.fromCharCode(value))
export const octetString = (content: Uint8Array): Asn1 => primitive(tag.octetString, binary(content))

/** A BIT STRING of whole bytes, or of named bits where `unused` low bits of the last byte don't count. */
export const bitString = (content: Uint8Array, unused = 0): Asn1 =>
  primitive(tag.bitString, String.fromCharCode(unused) + binary(content))

/** A non-negative INTEGER; bytes are taken as big-endian magnitude. */
export function integer(value: bigint | number | Uint8Array): Asn1 {
  const magnitude = value instanceof Uint8Array ? value : magnitudeOf(BigInt(value))
  let start = 0
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++
  const content = binary(magnitude.subarray(start))
  return primitive(tag.integer, content.charCodeAt(0) >= 0x80 ? `\x00${content}` : content)
}

function magnitudeOf(value: bigint): Buffer {
  if (value < 0n) throw new RangeError('a negative INTEGER has no place in X.509')
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')
}

/** UTCTime through 2049 and GeneralizedTime from 2050, both to the second and in UTC (RFC 5280 section 4.1.2.5). */
export function timeDigits(at: Date): { type: number; digits: string } {
  const year = at.getUTCFullYear()
  if (!(year >= 1950 && year <= 9999)) throw new RangeError('a certificate cannot express this time')
  const iso = at.toISOString()
  const date = iso.slice(0, 4) + iso.slice(5, 7) + iso.slice(8, 10)
  const digits = `${date}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`
  return year < 2050 ? { type: tag.utcTime, digits: digits.slice(2) } : { type: tag.generalizedTime, digits }
}

export function time(at: Date): Asn1 {
  const { type, digits } = timeDigits(at)
  return primitive(type, digits)
}

/** `[n] EXPLICIT`, or `[n] IMPLICIT` of a constructed type: the children inside a context tag. */
export const context = (n: number, children: Asn1[]): Asn1 => asn1.create(contextSpecific, n, true, children)

/** `[n] IMPLICIT` of a primitive type. */
export const contextPrimitive = (n: number, content: Uint8Array): Asn1 =>
  asn1.create(contextSpecific, n, false, binary(content))

/**
 * DER that exists already, as a node: its first tag byte and its content go into the tree unparsed, so that an SPKI
 * or a name made once costs nothing more. The bytes must be one DER value of ours, or one that was checked strictly.
 */
export function raw(der: Uint8Array): Asn1 {
  const first = der[0]
  const length = der[1]
  if (first === undefined || length === undefined) throw new RangeError('not one DER value')
  const header = length < 0x80 ? 2 : 2 + (length & 0x7f)
  return asn1.create(first & 0xc0, first & 0x3f, false, binary(der.subarray(header)))
}

export const toDer = (tree: Asn1): Buffer => Buffer.from(asn1.toDer(tree).getBytes(), 'latin1')

/** Tag and length of a value whose content is too large for a tree. */
export function derHeader(type: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([type, length])
  const hex = length.toString(16)
  const bytes = Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')
  return Buffer.concat([Buffer.from([type, 0x80 | bytes.length]), bytes])
}
