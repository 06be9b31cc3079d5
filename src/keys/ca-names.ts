import { hash } from 'node:crypto'
import { type Asn1, oid, printable, sequence, set, utf8 } from './asn1.ts'

const attribute = (type: string, value: Asn1): Asn1 => set([sequence([oid(type), value])])

/** The empty subject of an SVID. */
export const emptyName = (): Asn1 => sequence([])

/**
 * The subject of a CA: a name to read, and the start of its key's identifier as X.520 serialNumber, so that no two
 * keys share a subject (CRLs and chains are found by it). A common name holds 64 characters at most (RFC 5280
 * appendix A, ub-common-name), a trust domain 255: the rest is cut, for the identity is in the SAN.
 */
export function caName(role: 'root' | 'issuing', trustDomain: string, keyId: Buffer): Asn1 {
  const commonName = `Purser ${role} CA ${trustDomain}`.slice(0, 64)
  return sequence([
    attribute('2.5.4.3', utf8(commonName)),
    attribute('2.5.4.5', printable(keyId.toString('hex', 0, 8))),
  ])
}

/**
 * A key's identifier: the first 160 bits of the SHA-256 of its SPKI (after RFC 7093 section 2). So a certificate's
 * identifier is the beginning of the `publicKeySha256` in the log.
 */
export const keyIdOf = (spki: Uint8Array): Buffer => hash('sha256', spki, 'buffer').subarray(0, 20)
