/** Certificate revocation lists (RFC 5280 section 5) of one issuer, verified: complete, or of one distribution point. */
import { type KeyObject, type X509Certificate, verify } from 'node:crypto'
import { fieldsOf, urlOfPoint } from '../certificates/fields.ts'
import {
  type Der,
  DerError,
  expect,
  inContext,
  members,
  readBits,
  readDer,
  readExtensions,
} from '../certificates/der.ts'
import { readInteger, readTime, tag } from '../certificates/der.ts'

export type Crl = {
  thisUpdate: Date
  nextUpdate: Date
  /** Grows with each CRL of an issuer. */
  number: bigint
  /** Serial numbers, lower-case hex without leading zeros. */
  serials: ReadonlySet<string>
}

/**
 * @param issuer must have signed it
 * @param point the distribution point in the certificates that are looked up. Without it only a complete CRL is accepted.
 * @throws DerError
 */
export function readCrl(der: Buffer, issuer: X509Certificate, point?: string): Crl {
  const [tbs, algorithm, signature, ...more] = members(expect(readDer(der), tag.sequence, 'the CRL'))
  if (!tbs || !algorithm || more.length > 0) throw new DerError('the CRL does not have three parts')
  const parts = members(expect(tbs, tag.sequence, 'its signed part'))
  const optional = (type: number): Der | undefined => (parts[0]?.tag === type ? parts.shift() : undefined)

  // Checked before anything in it is trusted.
  const { subject, keyUsage } = fieldsOf(issuer)
  if (keyUsage?.signsCrls === false) throw new DerError('its issuer may not sign CRLs')
  if (!isSigned(tbs, algorithm, readBits(signature, 'its signature'), issuer.publicKey))
    throw new DerError('its signature is not its issuer’s')

  if (readInteger(parts.shift(), 'its version') !== '1') throw new DerError('it is not of version 2')
  // section 5.1.1.2: the algorithm inside the signed part equals the one beside it
  if (parts.shift()?.whole.equals(algorithm.whole) !== true) throw new DerError('its two algorithms differ')
  if (parts.shift()?.whole.equals(subject) !== true) throw new DerError('it has another issuer')
  const thisUpdate = readTime(parts.shift(), 'its time')
  const nextUpdate = readTime(parts.shift(), 'its end')
  const revoked = optional(tag.sequence)
  const extensions = optional(inContext(0))
  if (parts.length > 0) throw new DerError('something follows its last part')
  if (!extensions) throw new DerError('it has no number')
  return { thisUpdate, nextUpdate, number: readCrlNumber(extensions, point), serials: readSerials(revoked) }
}

const oid = { crlNumber: '551d14', issuingDistributionPoint: '551d1c' }

/**
 * Refuses a list for other certificates than those of the point, and every other critical extension: they mark CRLs of
 * changes, and CRLs of other issuers (sections 5.2.4, 5.2.5).
 */
function readCrlNumber({ content }: Der, point: string | undefined): bigint {
  const extensions = readExtensions(readDer(content))
  for (const [id, { critical, value }] of extensions) {
    if (id === oid.issuingDistributionPoint) {
      if (point === undefined || urlOfPoint(readDer(value)) !== point)
        throw new DerError('its critical distribution point is not that of the certificate')
    } else if (critical) throw new DerError('it has an unknown critical extension')
  }
  const number = extensions.get(oid.crlNumber)
  if (!number) throw new DerError('it has no number')
  return BigInt(`0x${readInteger(readDer(number.value), 'its number')}`)
}

function readSerials(list: Der | undefined): Set<string> {
  const serials = new Set<string>()
  for (const entry of list ? members(list) : []) {
    const [serial, at, extras, ...more] = members(expect(entry, tag.sequence, 'an entry'))
    if (more.length > 0) throw new DerError('an entry has more than three parts')
    readTime(at, "an entry's time")
    // section 5.3: an entry with an unknown critical extension may list a certificate of another issuer
    if (extras && [...readExtensions(extras).values()].some(({ critical }) => critical))
      throw new DerError('an entry has an unknown critical extension')
    serials.add(readInteger(serial, "an entry's serial number"))
  }
  return serials
}

/** Encoded AlgorithmIdentifiers (RFC 5758 section 3.2, RFC 4055 section 5, RFC 8410 section 3), in hex. */
const algorithms: Readonly<Record<string, { type: string; digest: string | null }>> = {
  '300a06082a8648ce3d040302': { type: 'ec', digest: 'sha256' },
  '300a06082a8648ce3d040303': { type: 'ec', digest: 'sha384' },
  '300a06082a8648ce3d040304': { type: 'ec', digest: 'sha512' },
  '300d06092a864886f70d01010b0500': { type: 'rsa', digest: 'sha256' },
  '300d06092a864886f70d01010c0500': { type: 'rsa', digest: 'sha384' },
  '300d06092a864886f70d01010d0500': { type: 'rsa', digest: 'sha512' },
  '300506032b6570': { type: 'ed25519', digest: null },
}

function isSigned(tbs: Der, { whole }: Der, signature: Buffer, key: KeyObject): boolean {
  const algorithm = algorithms[whole.toString('hex')]
  if (!algorithm || algorithm.type !== key.asymmetricKeyType)
    throw new DerError('its signature algorithm is unknown, or does not fit its issuer’s key')
  return verify(algorithm.digest, tbs.whole, key, signature)
}
