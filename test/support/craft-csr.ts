import { type KeyObject, createPublicKey, sign } from 'node:crypto'
import { type Asn1, bitString, context, integer, nothing, oid, raw, sequence, toDer } from '../../src/keys/asn1.ts'
import { CsrError, type CsrReason, readCsr } from '../../src/issue/csr.ts'
import { encodePem } from '../../src/keys/pem.ts'

/** AlgorithmIdentifiers for requests, right or wrong. */
export const ecdsaSha256 = (): Asn1 => sequence([oid('1.2.840.10045.4.3.2')])
export const rsaSha256 = (): Asn1 => sequence([oid('1.2.840.113549.1.1.11'), nothing()])
export const ed25519 = (): Asn1 => sequence([oid('1.3.101.112')])

export type CsrRecipe = {
  /** Signs the request; its public half is the request's key unless `spki` replaces it. */
  key: KeyObject
  spki?: Uint8Array
  version?: Asn1
  subject?: Asn1
  /** Members after the SPKI. */
  attributes?: Asn1[]
  algorithm?: Asn1
  digest?: string | null
  signature?: Buffer
  /** Members after the signature. */
  behind?: Asn1[]
}

/** A certificate request with any content, by default with a valid signature. */
export function craftCsr(recipe: CsrRecipe): Buffer {
  const { key, digest = 'sha256' } = recipe
  const spki = recipe.spki ?? createPublicKey(key).export({ type: 'spki', format: 'der' })
  const info = toDer(
    sequence([
      recipe.version ?? integer(0),
      recipe.subject ?? sequence([]),
      raw(spki),
      ...(recipe.attributes ?? [context(0, [])]),
    ]),
  )
  const signature = recipe.signature ?? sign(digest, info, key)
  return toDer(sequence([raw(info), recipe.algorithm ?? ecdsaSha256(), bitString(signature), ...(recipe.behind ?? [])]))
}

export const csrPem = (der: Buffer): string => encodePem('CERTIFICATE REQUEST', der)

/** SubjectPublicKeyInfo from an algorithm and the key's bits. */
export const craftSpki = (algorithm: Asn1[], key: Uint8Array): Buffer =>
  toDer(sequence([sequence(algorithm), bitString(key)]))

export const ecSpki = (curveOid: string, point: Uint8Array): Buffer =>
  craftSpki([oid('1.2.840.10045.2.1'), oid(curveOid)], point)

export const rsaSpki = (modulus: Asn1, exponent: Asn1): Buffer =>
  craftSpki([oid('1.2.840.113549.1.1.1'), nothing()], toDer(sequence([modulus, exponent])))

/** The code of the refusal; throws when the request is accepted, or fails in another way. */
export function csrRefusal(pem: string): CsrReason {
  try {
    readCsr(pem)
  } catch (error) {
    if (error instanceof CsrError) return error.reason
    throw error
  }
  throw new Error('it was accepted')
}
