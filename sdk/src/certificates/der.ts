/** A reader of DER (X.690 section 10) that takes one encoding of each value, and nothing after it. */
export type Der = {
  tag: number
  /** What is inside. */
  content: Buffer
  /** With tag and length, as it was signed. */
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

/** `[n]` with values inside. */
export const inContext = (n: number): number => 0xa0 | n

/** @throws DerError unless it is one value and no more */
export function readDer(bytes: Buffer): Der {
  const der = readFirst(bytes)
  if (der.whole.length !== bytes.length) throw new DerError('something follows the value')
  return der
}

/** The values inside of a constructed one. */
export function members(of: Der): Der[] {
  const all: Der[] = []
  for (let rest = of.content; rest.length > 0;) {
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
  if (first === 0x80 || more > 4) throw new DerError('a length is indefinite, or beyond reason')
  const start = 2 + more
  if (bytes.length < start) throw new DerError('it is cut off')
  const length = more === 0 ? first : bytes.readUIntBE(2, more)
  if (more > 0 && (length < 0x80 || length < 2 ** (8 * (more - 1)))) throw new DerError('a length has a shorter form')
  if (bytes.length < start + length) throw new DerError('it is cut off')
  return { tag: type, content: bytes.subarray(start, start + length), whole: bytes.subarray(0, start + length) }
}

/** The value of this type. */
export function expect(one: Der | undefined, type: number, what: string): Der {
  if (one?.tag !== type) throw new DerError(`${what} is missing, or something else`)
  return one
}

/** A positive INTEGER or zero, as hex without leading zeros. */
export function readInteger(one: Der | undefined, what: string): string {
  const { content } = expect(one, tag.integer, what)
  const [first, second] = content
  if (first === undefined || first >= 0x80) throw new DerError(`${what} is negative, or nothing`)
  if (first === 0 && second !== undefined && second < 0x80) throw new DerError(`${what} has a shorter form`)
  return bareHex(content.toString('hex'))
}

/** The same, from a text that may begin with zeros: serial numbers are compared so. */
export const bareHex = (hex: string): string => hex.toLowerCase().replace(/^0+(?=.)/, '')

/** The bytes of a BIT STRING without unused bits, such as a signature. */
export function readBits(one: Der | undefined, what: string): Buffer {
  const { content } = expect(one, tag.bitString, what)
  if (content[0] !== 0) throw new DerError(`${what} is not of whole bytes`)
  return content.subarray(1)
}

const shapes = {
  [tag.utcTime]: /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/,
  [tag.generalizedTime]: /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/,
}

/** To the second and in UTC, as RFC 5280 section 4.1.2.5 wants it. */
export function readTime(one: Der | undefined, what: string): Date {
  const type = one?.tag === tag.generalizedTime ? tag.generalizedTime : tag.utcTime
  const { content } = expect(one, type, what)
  const [, year = '', ...rest] = shapes[type].exec(content.toString('latin1')) ?? []
  const full = year.length === 2 ? (Number(year) < 50 ? `20${year}` : `19${year}`) : year
  const [month, day, hour, minute, second] = rest
  const iso = `${full}-${month}-${day}T${hour}:${minute}:${second}.000Z`
  const at = new Date(iso)
  // A 31st of June would be another day.
  if (Number.isNaN(at.getTime()) || at.toISOString() !== iso) throw new DerError(`${what} is no time`)
  return at
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
    if (all.has(id)) throw new DerError('an extension is there twice')
    all.set(id, { critical: flag !== undefined, value: expect(parts.at(-1), tag.octetString, 'its value').content })
    if (parts.length > 3) throw new DerError('an extension has more than three parts')
  }
  return all
}
