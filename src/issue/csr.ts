import { type KeyObject, hash } from 'node:crypto'
import { Asn1Error, childrenOf, contentOf, fromDerStrict } from '../keys/asn1-strict.ts'
import { type Asn1, tag } from '../keys/asn1.ts'
import { PemError, decodePem } from '../keys/pem.ts'
import { CsrError } from './csr-error.ts'
import { type Attribute, checkRequestedExtensions } from './csr-extensions.ts'
import { type KeyType, readCsrKey } from './csr-key.ts'
import { checkPossession } from './csr-signature.ts'

export { CsrError, type CsrReason } from './csr-error.ts'

/** All that a request contributes: its key. */
export type CsrVerdict = { spki: Buffer; publicKey: KeyObject; publicKeySha256: string; keyType: KeyType }

/** Receives the SHA-256 of an SPKI in hex. Refuses CA keys and blocked keys. */
export type RefuseKey = (publicKeySha256: string) => boolean

const maxCsrBytes = 16_384
// RFC 7468 section 7: the second is what older tools write, keytool among them
const labels = ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST']

/**
 * Checks a PKCS#10 request (RFC 2986) from a stranger and takes its public key; subject, attributes and requested
 * extensions must be DER and are otherwise ignored. Throws CsrError, and nothing else, for anything amiss.
 */
export function readCsr(pem: string, refuseKey: RefuseKey = () => false): CsrVerdict {
  if (pem.length > maxCsrBytes) throw new CsrError('too_large')
  const request = split(parse(decode(pem)))
  const key = readCsrKey(request.spki)
  checkPossession(request, key.publicKey)
  const publicKeySha256 = hash('sha256', key.spki, 'hex')
  if (refuseKey(publicKeySha256)) throw new CsrError('refused_key')
  return { ...key, publicKeySha256 }
}

function decode(pem: string): Buffer {
  try {
    return decodePem(pem, labels)
  } catch (error) {
    throw error instanceof PemError ? new CsrError('not_pem') : error
  }
}

function parse(der: Buffer): Asn1 {
  try {
    return fromDerStrict(der, { maxBytes: maxCsrBytes })
  } catch (error) {
    throw error instanceof Asn1Error ? new CsrError(error.trailing ? 'trailing' : 'not_der') : error
  }
}

type Request = { info: Asn1; spki: Asn1; algorithm: Asn1; signature: Buffer }

function split(tree: Asn1): Request {
  try {
    return members(tree)
  } catch (error) {
    throw error instanceof Asn1Error ? new CsrError('malformed') : error
  }
}

/** RFC 2986 section 4, member by member; forge's validator is not used (CVE-2025-12816). */
function members(tree: Asn1): Request {
  const [info, algorithm, signature, ...trailing] = childrenOf(tree, tag.sequence)
  const [version, subject, spki, attributes, ...others] = childrenOf(info, tag.sequence)
  const bits = contentOf(signature, tag.bitString)
  if (!info || !algorithm || !spki || trailing.length > 0 || others.length > 0) throw new CsrError('malformed')
  if (!contentOf(version, tag.integer).equals(Buffer.of(0)) || bits[0] !== 0) throw new CsrError('malformed')
  for (const relativeName of childrenOf(subject, tag.sequence)) childrenOf(relativeName, tag.set)
  checkRequestedExtensions(childrenOf(attributes, 0, 0x80).map(readAttribute))
  return { info, spki, algorithm, signature: bits.subarray(1) }
}

function readAttribute(node: Asn1): Attribute {
  const [type, values, ...rest] = childrenOf(node, tag.sequence)
  contentOf(type, tag.oid)
  if (!type || rest.length > 0) throw new CsrError('malformed')
  return { type, values: childrenOf(values, tag.set) }
}

/**
 * Caches accepted requests by the SHA-256 of their text. A workload renews with one request, and importing its key and
 * verifying its signature cost more than issuing. A verdict depends on the text alone; whether the key may be used is
 * checked every time. Refusals are not cached, since strangers could fill the memory with them.
 */
export function createCsrVerdicts(parts: { max: number }): {
  read: (pem: string, refuseKey?: RefuseKey) => CsrVerdict
} {
  const verdicts = new Map<string, CsrVerdict>()

  function remember(digest: string, verdict: CsrVerdict): CsrVerdict {
    // A Map iterates in the order of insertion, so the first key is the least recently used
    if (verdicts.size >= parts.max) verdicts.delete(verdicts.keys().next().value ?? '')
    verdicts.set(digest, verdict)
    return verdict
  }

  return {
    read(pem, refuseKey = () => false) {
      if (pem.length > maxCsrBytes) throw new CsrError('too_large')
      const digest = hash('sha256', pem, 'base64')
      const earlier = verdicts.get(digest)
      if (earlier) verdicts.delete(digest)
      const verdict = remember(digest, earlier ?? readCsr(pem))
      if (refuseKey(verdict.publicKeySha256)) throw new CsrError('refused_key')
      return verdict
    },
  }
}
