/**
 * The one module of node-forge that we load: its DER encoder and parser. The package's index would load RSA, TLS and
 * chain verification too, which we never use (every signature is made and checked by node:crypto).
 */
declare module 'node-forge/lib/asn1.js' {
  export type Asn1 = {
    tagClass: number
    type: number
    constructed: boolean
    composed: boolean
    /** The children, or the content as a string of one character a byte. */
    value: string | Asn1[]
    /** Of a primitive BIT STRING that was parsed: its content, the byte of unused bits first. */
    bitStringContents?: string
  }
  export type ParseOptions = { strict: boolean; parseAllBytes: boolean; decodeBitStrings: boolean; maxDepth: number }
  const asn1: {
    create(tagClass: number, type: number, constructed: boolean, value: string | Asn1[]): Asn1
    toDer(tree: Asn1): { getBytes(): string }
    fromDer(bytes: string, options: ParseOptions): Asn1
    oidToDer(oid: string): { getBytes(): string }
  }
  export default asn1
}
