import { Asn1Error, childrenOf, sameOid } from '../keys/asn1-strict.ts'
import { type Asn1, oid, tag } from '../keys/asn1.ts'
import { extensionOid } from '../keys/extensions.ts'
import { readExtensions } from '../keys/read-certificate.ts'
import { CsrError } from './csr-error.ts'

export type Attribute = { type: Asn1; values: Asn1[] }

/** `extensionRequest` (RFC 2985 section 5.4.2), and the name that Microsoft's tools give it. */
const extensionRequests = ['1.2.840.113549.1.9.14', '1.3.6.1.4.1.311.2.1.14'].map(oid)

/** Critical extensions that clients request. All are ignored: a request contributes its key alone. */
const allowedExtensions = [
  extensionOid.subjectKeyIdentifier,
  extensionOid.keyUsage,
  extensionOid.subjectAltName,
  extensionOid.basicConstraints,
  extensionOid.nameConstraints,
  extensionOid.extendedKeyUsage,
  extensionOid.certificatePolicies,
  extensionOid.tlsFeature,
].map(oid)

/**
 * A request whose extensions can be read in two ways, or that insists on one that Purser does not know, is refused
 * rather than answered with a certificate that lacks it (RFC 5280 section 4.2).
 */
export function checkRequestedExtensions(attributes: readonly Attribute[]): void {
  const requests = attributes.filter(({ type }) => extensionRequests.some((id) => sameOid(type, id)))
  const [request, ...more] = requests
  if (!request) return
  const [list, ...lists] = request.values
  if (!list || lists.length > 0 || more.length > 0) throw new CsrError('extensions')
  for (const { id, critical } of read(list)) {
    if (critical && !allowedExtensions.some((oid) => sameOid(id, oid))) throw new CsrError('extensions')
  }
}

function read(list: Asn1) {
  try {
    return readExtensions(childrenOf(list, tag.sequence))
  } catch (error) {
    throw error instanceof Asn1Error ? new CsrError('extensions') : error
  }
}
