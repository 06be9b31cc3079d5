/** A strict reader of DER (X.690 section 10): one encoding for each value, and nothing after it. */
export type Der = {
  tag: number
  content: Buffer
  /** With tag and length, as signed. */
  whole: Buffer
}

export class DerError extends Error {}

export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const

/** The tag of a constructed `[n]`. */
export const inContext = (n: number): number => 0xa0 | n

/** @throws DerError unless the bytes are exactly one value */
export function readDer(bytes: Buffer): Der {
  const der = readFirst(bytes)
  if (der.whole.length !== bytes.length) throw new DerError('something follows the value')
  return der
}

/** The values inside a constructed value. */
export function members(parent: Der): Der[] {
  const all: Der[] = []
  for (let rest = parent.content; rest.length > 0;) {
    const der = readFirst(rest)
    all.push(der)
    rest = rest.subarray(der.whole.length)
  }
  return all
}

function readFirst(bytes: Buffer): Der {
  const [type, first] = bytes
  if (type === undefined || first === undefined) throw new DerError('it is cut off')
  if ((type & 0x1f) === 0x1f) throw new DerError('a tag is longer than a byte')
  const more = first < 0x80 ? 0 : first & 0x7f
  if (first === 0x80 || more > 4) throw new DerError('a length is indefinite or too large')
  const start = 2 + more
  if (bytes.length < start) throw new DerError('it is cut off')
  const length = more === 0 ? first : bytes.readUIntBE(2, more)
  if (more > 0 && (length < 0x80 || length < 2 ** (8 * (more - 1)))) throw new DerError('a length has a shorter form')
  if (bytes.length < start + length) throw new DerError('it is cut off')
  return { tag: type, content: bytes.subarray(start, start + length), whole: bytes.subarray(0, start + length) }
}

/** @throws DerError unless the value has this type */
export function expect(value: Der | undefined, type: number, what: string): Der {
  if (value?.tag !== type) throw new DerError(`${what} is missing or of another type`)
  return value
}

/** A positive INTEGER or zero, as hex without leading zeros. */
export function readInteger(value: Der | undefined, what: string): string {
  const { content } = expect(value, tag.integer, what)
  const [first, second] = content
  if (first === undefined || first >= 0x80) throw new DerError(`${what} is negative or empty`)
  if (first === 0 && second !== undefined && second < 0x80) throw new DerError(`${what} has a shorter form`)
  return bareHex(content.toString('hex'))
}

/** Hex without leading zeros, to compare serial numbers. */
export const bareHex = (hex: string): string => hex.toLowerCase().replace(/^0+(?=.)/, '')

/** The bytes of a BIT STRING that has no unused bits, such as a signature. */
export function readBits(value: Der | undefined, what: string): Buffer {
  const { content } = expect(value, tag.bitString, what)
  if (content[0] !== 0) throw new DerError(`${what} has unused bits`)
  return content.subarray(1)
}

const shapes = {
  [tag.utcTime]: /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/,
  [tag.generalizedTime]: /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/,
}

/** In whole seconds and UTC, as RFC 5280 section 4.1.2.5 requires. */
export function readTime(value: Der | undefined, what: string): Date {
  const type = value?.tag === tag.generalizedTime ? tag.generalizedTime : tag.utcTime
  const { content } = expect(value, type, what)
  const [, year = '', ...rest] = shapes[type].exec(content.toString('latin1')) ?? []
  const full = year.length === 2 ? (Number(year) < 50 ? `20${year}` : `19${year}`) : year
  const [month, day, hour, minute, second] = rest
  const iso = `${full}-${month}-${day}T${hour}:${minute}:${second}.000Z`
  const time = new Date(iso)
  // Date would turn June 31 into another day.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) throw new DerError(`${what} is not a valid time`)
  return time
}

export type Extension = { critical: boolean; value: Buffer }

/** Extensions by their OID's bytes in hex (RFC 5280 section 4.1). */
export function readExtensions(list: Der): Map<string, Extension> {
  const all = new Map<string, Extension>()
  for (const member of members(expect(list, tag.sequence, 'a list of extensions'))) {
    const parts = members(expect(member, tag.sequence, 'an extension'))
    const flag = parts.length === 3 ? expect(parts[1], tag.boolean, 'whether it is critical') : undefined
    if (flag && !(flag.content.length === 1 && flag.content[0] === 0xff)) throw new DerError('a boolean is not true')
    const id = expect(parts[0], tag.oid, "an extension's name").content.toString('hex')
    if (all.has(id)) throw new DerError('an extension occurs twice')
    all.set(id, { critical: flag !== undefined, value: expect(parts.at(-1), tag.octetString, 'its value').content })
    if (parts.length > 3) throw new DerError('an extension has more than three parts')
  }
  return all
}
