/**
 * The encoded `revokedCertificates` of one CRL (RFC 5280 section 5.1.2.6), in the order of their revocations. An entry is
 * encoded once, when it is added. It leaves after its certificate's end.
 */
import { timeDigits } from '../keys/asn1.ts'

/** RFC 5280 section 5.3.1. An entry without a reason says `unspecified`. */
const crlReasons = {
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const

export type RevokedCertificate = { serial: Buffer; at: Date; reason?: keyof typeof crlReasons }

/** Two bytes of header each: the sequence, the serial number and the time; then the serial number, time and reason. */
const maxEntryBytes = 64
const [sequenceTag, integerTag] = [0x30, 0x02]
/** The extension of section 5.3.1 up to the reason's number. */
const reasonHead = Buffer.from('300c300a0603551d1504030a01', 'hex')

export class CrlEntries {
  #bytes: Buffer = Buffer.alloc(0)
  #used = 0
  /** Seconds since 1970, by the order of the entries. */
  #ends: Uint32Array = new Uint32Array(0)
  #count = 0
  #firstEnd = Infinity
  #lastAt = 0

  get count(): number {
    return this.#count
  }

  /** The time of the last revocation, in milliseconds; 0 without any. */
  get lastAt(): number {
    return this.#lastAt
  }

  /** Valid until the next change. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#used)
  }

  /** @param until the end of the certificate */
  add(revoked: RevokedCertificate, until: Date): void {
    this.#bytes = withRoom(this.#bytes, this.#used, maxEntryBytes)
    this.#ends = withEnds(this.#ends, this.#count, 1)
    this.#used = writeEntry(this.#bytes, this.#used, revoked)
    const end = Math.ceil(until.getTime() / 1000)
    this.#ends[this.#count++] = end
    this.#firstEnd = Math.min(this.#firstEnd, end)
    this.#lastAt = Math.max(this.#lastAt, revoked.at.getTime())
  }

  append(more: CrlEntries): void {
    this.#bytes = withRoom(this.#bytes, this.#used, more.#used)
    this.#used += more.bytes.copy(this.#bytes, this.#used)
    this.#ends = withEnds(this.#ends, this.#count, more.#count)
    this.#ends.set(more.#ends.subarray(0, more.#count), this.#count)
    this.#count += more.#count
    this.#firstEnd = Math.min(this.#firstEnd, more.#firstEnd)
    this.#lastAt = Math.max(this.#lastAt, more.#lastAt)
  }

  /** Removes the entries of certificates that ended until then. */
  forget(until: Date): void {
    const last = Math.floor(until.getTime() / 1000)
    if (this.#firstEnd > last) return
    let [from, to, count] = [0, 0, 0]
    this.#firstEnd = Infinity
    for (let n = 0; n < this.#count; n++) {
      const end = this.#ends[n] ?? 0
      const length = 2 + (this.#bytes[from + 1] ?? 0)
      if (end > last) {
        this.#bytes.copyWithin(to, from, from + length)
        this.#ends[count++] = end
        this.#firstEnd = Math.min(this.#firstEnd, end)
        to += length
      }
      from += length
    }
    this.#used = to
    this.#count = count
  }
}

/** A quarter more: of a million entries, doubling would leave tens of megabytes unused. */
const largerBy = (used: number, added: number): number => used + Math.max(added, used >> 2)

function withRoom(bytes: Buffer, used: number, added: number): Buffer {
  if (bytes.length - used >= added) return bytes
  const next = Buffer.allocUnsafeSlow(largerBy(used, added))
  bytes.copy(next, 0, 0, used)
  return next
}

function withEnds(ends: Uint32Array, count: number, added: number): Uint32Array {
  if (ends.length - count >= added) return ends
  const next = new Uint32Array(largerBy(count, added))
  next.set(ends.subarray(0, count))
  return next
}

/** Written by hand: a tree for each of a million entries would take seconds. @returns the end of the entry */
function writeEntry(bytes: Buffer, start: number, { serial, at, reason }: RevokedCertificate): number {
  let zeros = 0
  while (zeros < serial.length - 1 && serial[zeros] === 0) zeros++
  const magnitude = serial.subarray(zeros)
  // Section 4.1.2.2: at most 20 bytes
  if (magnitude.length === 0 || magnitude.length > 20) throw new RangeError('not a serial number')
  const isPadded = (magnitude[0] ?? 0) >= 0x80
  let end = start + 2
  bytes[end++] = integerTag
  bytes[end++] = magnitude.length + (isPadded ? 1 : 0)
  if (isPadded) bytes[end++] = 0
  end += magnitude.copy(bytes, end)
  const { type, digits } = timeDigits(at)
  bytes[end++] = type
  bytes[end++] = digits.length
  end += bytes.write(digits, end, 'latin1')
  if (reason !== undefined) {
    end += reasonHead.copy(bytes, end)
    bytes[end++] = crlReasons[reason]
  }
  bytes[start] = sequenceTag
  bytes[start + 1] = end - start - 2
  return end
}
