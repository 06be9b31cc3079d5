/** What a certificate's extensions say (RFC 5280 section 4.2.1), read strictly. Each throws Asn1Error. */
import { Asn1Error, childrenOf, contentOf, fromDerStrict } from './asn1-strict.ts'
import { type Asn1, tag } from './asn1.ts'
import { type NameConstraints, extensionOid } from './extensions.ts'
import { type Extension, findExtension } from './read-certificate.ts'

const treeOf = (extensions: Extension[], id: string): Asn1 | undefined => {
  const extension = findExtension(extensions, id)
  return extension && fromDerStrict(extension.value)
}

/** Bits of the first byte of keyUsage (section 4.2.1.3): bit 0 is the highest. */
export const usageBit = { digitalSignature: 0x80, keyCertSign: 0x04, cRLSign: 0x02 } as const

/** The first byte; undefined where the extension is absent. */
export function keyUsageOf(extensions: Extension[]): number | undefined {
  const extension = treeOf(extensions, extensionOid.keyUsage)
  return extension && (contentOf(extension, tag.bitString)[1] ?? 0)
}

/** The CAs that may follow below (section 4.2.1.9); undefined where any number may. */
export function pathLengthOf(extensions: Extension[]): number | undefined {
  const extension = treeOf(extensions, extensionOid.basicConstraints)
  const pathLength = extension && childrenOf(extension, tag.sequence)[1]
  if (!pathLength) return undefined
  const content = contentOf(pathLength, tag.integer)
  return content.length > 4 || content[0]! >= 0x80 ? 0 : content.readUIntBE(0, content.length)
}

/**
 * Permitted names of the form that `nameConstraints` writes (section 4.2.1.10): one URI host, at least one DNS name.
 * Undefined where the extension is absent. Throws Asn1Error for every other form.
 */
export function nameConstraintsOf(extensions: Extension[]): NameConstraints | undefined {
  const tree = treeOf(extensions, extensionOid.nameConstraints)
  if (!tree) return undefined
  const [permitted, ...excluded] = childrenOf(tree, tag.sequence)
  const names = childrenOf(permitted, 0, 0x80).map(permittedName)
  const [uri, ...moreUris] = names.filter(({ type }) => type === 6)
  const dns = names.filter(({ type }) => type === 2).map(({ value }) => value)
  if (!uri || dns.length === 0 || moreUris.length + excluded.length > 0 || dns.length !== names.length - 1)
    throw new Asn1Error('name constraints of another form')
  return { uri: uri.value, dns }
}

function permittedName(subtree: Asn1): { type: number; value: string } {
  const [base, ...bounds] = childrenOf(subtree, tag.sequence)
  if (base?.tagClass !== 0x80 || typeof base.value !== 'string' || bounds.length > 0)
    throw new Asn1Error('name constraints of another form')
  return { type: base.type, value: base.value }
}

/** Where CRLs are (section 4.2.1.13): the URLs of points that stand for all reasons. */
export function crlUrlsOf(extensions: Extension[]): string[] {
  const extension = treeOf(extensions, extensionOid.crlDistributionPoints)
  if (!extension) return []
  return childrenOf(extension, tag.sequence).flatMap((point) => {
    const [first] = childrenOf(point, tag.sequence)
    const names = first?.type === 0 && first.tagClass === 0x80 ? childrenOf(first, 0, 0x80) : []
    const full = names.filter((name) => name.type === 0 && name.tagClass === 0x80)
    return full.flatMap((asn1) => childrenOf(asn1, 0, 0x80).flatMap(urlIn))
  })
}

const printable = /^[\x20-\x7e]+$/
/** The alternatives of GeneralName (section 4.2.1.6), by their tag: whether its content can be that. */
const generalNames: Readonly<Record<number, (value: Asn1['value']) => boolean>> = {
  0: isConstructed,
  1: (value) => typeof value === 'string' && printable.test(value),
  2: (value) => typeof value === 'string' && printable.test(value),
  3: isConstructed,
  4: isConstructed,
  5: isConstructed,
  6: (value) => typeof value === 'string' && printable.test(value),
  7: (value) => typeof value === 'string' && (value.length === 4 || value.length === 16),
  8: (value) => typeof value === 'string' && value !== '',
}

function isConstructed(value: Asn1['value']): boolean {
  return typeof value !== 'string' && value.length > 0
}

/** Whether these are one or more names, each of a form that its tag allows. */
export function isGeneralNames(der: Buffer): boolean {
  try {
    const names = childrenOf(fromDerStrict(der), tag.sequence)
    return (
      names.length > 0 && names.every(({ tagClass, type, value }) => tagClass === 0x80 && generalNames[type]?.(value))
    )
  } catch (error) {
    if (error instanceof Asn1Error) return false
    throw error
  }
}

/** uniformResourceIdentifier, [6] IA5String (section 4.2.1.6). */
const urlIn = ({ type, tagClass, value }: Asn1): string[] =>
  type === 6 && tagClass === 0x80 && typeof value === 'string' ? [value] : []
