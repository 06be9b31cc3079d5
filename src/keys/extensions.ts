import {
  type Asn1,
  bitString,
  boolean,
  context,
  contextPrimitive,
  integer,
  octetString,
  oid,
  raw,
  sequence,
  toDer,
} from './asn1.ts'

/** X.509 extensions (RFC 5280 section 4.2), each as a finished node. */
export const extensionOid = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  crlNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  issuingDistributionPoint: '2.5.29.28',
  nameConstraints: '2.5.29.30',
  crlDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  tlsFeature: '1.3.6.1.5.5.7.1.24',
} as const

export function extension(id: string, critical: boolean, value: Asn1): Asn1 {
  const der = octetString(toDer(value))
  return raw(toDer(sequence(critical ? [oid(id), boolean(true), der] : [oid(id), der])))
}

/** Section 4.2.1.9. `cA FALSE` is the default and so is left out of DER: an empty sequence. */
export function basicConstraints(ca: boolean, pathLength?: number): Asn1 {
  const members = ca ? [boolean(true)] : []
  if (ca && pathLength !== undefined) members.push(integer(pathLength))
  return extension(extensionOid.basicConstraints, true, sequence(members))
}

/** Section 4.2.1.3: bit 0 is the highest bit of the first byte. */
const keyUsageBits = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, cRLSign: 6 } as const

export function keyUsage(...usages: (keyof typeof keyUsageBits)[]): Asn1 {
  const bits = usages.map((usage) => keyUsageBits[usage])
  const byte = bits.reduce<number>((sum, bit) => sum | (0x80 >> bit), 0)
  return extension(extensionOid.keyUsage, true, bitString(Buffer.from([byte]), 7 - Math.max(...bits)))
}

const purposes = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const

export function extendedKeyUsage(...names: (keyof typeof purposes)[]): Asn1 {
  const ids = names.map((name) => oid(purposes[name]))
  return extension(extensionOid.extendedKeyUsage, false, sequence(ids))
}

/** Names that a CA may sign for: URIs with exactly this host, and these DNS names with all below them. */
export type NameConstraints = { uri: string; dns: readonly string[] }

/** Section 4.2.1.10: permitted subtrees alone. Addresses stay free, since Purser signs them for its own listeners alone. */
export function nameConstraints({ uri, dns }: NameConstraints): Asn1 {
  const subtree = (type: number, name: string): Asn1 => sequence([contextPrimitive(type, Buffer.from(name, 'ascii'))])
  const permitted = context(0, [subtree(6, uri), ...dns.map((name) => subtree(2, name))])
  return extension(extensionOid.nameConstraints, true, sequence([permitted]))
}

export const subjectKeyIdentifier = (keyId: Buffer): Asn1 =>
  extension(extensionOid.subjectKeyIdentifier, false, octetString(keyId))

export const authorityKeyIdentifier = (keyId: Buffer): Asn1 =>
  extension(extensionOid.authorityKeyIdentifier, false, sequence([contextPrimitive(0, keyId)]))

export type AlternativeNames = { uri?: string; dns?: readonly string[]; ip?: readonly Buffer[] }

/** Section 4.2.1.6; critical where the subject is empty. IP addresses are their 4 or 16 bytes. */
export function subjectAltName(names: AlternativeNames, critical: boolean): Asn1 {
  const { uri, dns = [], ip = [] } = names
  return extension(
    extensionOid.subjectAltName,
    critical,
    sequence([
      ...(uri === undefined ? [] : [contextPrimitive(6, Buffer.from(uri, 'ascii'))]),
      ...dns.map((name) => contextPrimitive(2, Buffer.from(name, 'ascii'))),
      ...ip.map((address) => contextPrimitive(7, address)),
    ]),
  )
}

/** DistributionPoint with one URL (section 4.2.1.13). IssuingDistributionPoint begins with the same member. */
const pointAt = (url: string): Asn1 =>
  sequence([context(0, [context(0, [contextPrimitive(6, Buffer.from(url, 'ascii'))])])])

/** Section 4.2.1.13: one point, one URL. */
export const crlDistributionPoint = (url: string): Asn1 =>
  extension(extensionOid.crlDistributionPoints, false, sequence([pointAt(url)]))

/**
 * Section 5.2.5: the CRL lists only certificates that name this URL. Critical, so that a verifier that does not know the
 * extension refuses the CRL instead of taking it for a complete one.
 */
export const issuingDistributionPoint = (url: string): Asn1 =>
  extension(extensionOid.issuingDistributionPoint, true, pointAt(url))

export const crlNumber = (number: bigint): Asn1 => extension(extensionOid.crlNumber, false, integer(number))
