/** DNS names for certificates: lower-case LDH labels (RFC 1123 section 2.1, RFC 5890 section 2.3.1), no wildcard. */
import { NameError } from './errors.ts'

const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

export function isDnsName(text: string): boolean {
  if (text.length > 253) return false
  const labels = text.split('.')
  // Some parsers read a name with a numeric last label as an IPv4 address: 10.0.0.1, and also 0x7f.1.
  return labels.every((text) => label.test(text)) && !/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')
}

/** The suffix itself, or a name below it (RFC 5280 section 4.2.1.10, dNSName). */
export const isUnder = (name: string, suffixes: readonly string[]): boolean =>
  suffixes.some((suffix) => name === suffix || name.endsWith(`.${suffix}`))

/** @throws NameError `bad_dns_name` */
export function parseDnsName(text: string): string {
  if (isDnsName(text)) return text
  throw new NameError(
    'bad_dns_name',
    'a DNS name is lower-case labels of a-z, 0-9 and hyphen, at most 63 bytes each and 253 together; no wildcard, no address, no trailing dot',
  )
}
