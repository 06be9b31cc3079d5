/** Name constraints of the CA: settings, and the rules between them (RFC 5280 section 4.2.1.10). */
import { isIP } from 'node:net'
import type { NameConstraints } from '../keys/extensions.ts'
import { isDnsName } from '../names/dns-name.ts'
import type { Fault } from './error.ts'
import type { Setting } from './setting.ts'
import { dnsSuffix, listOf, oneOf } from './values.ts'

export const nameConstraintSettings = {
  caNameConstraints: {
    env: 'PURSER_CA_NAME_CONSTRAINTS',
    yaml: 'ca.nameConstraints',
    parse: oneOf('trust-domain'),
    type: '`trust-domain`',
    absent: 'no constraints',
    doc: 'Limits new CA certificates to SPIFFE IDs of this trust domain and to the DNS names in PURSER_CA_DNS_SUFFIXES (RFC 5280 section 4.2.1.10). rustls-webpki 0.103.12 and later rejects such chains.',
  },
  caDnsSuffixes: {
    env: 'PURSER_CA_DNS_SUFFIXES',
    yaml: 'ca.dnsSuffixes',
    parse: listOf(dnsSuffix),
    type: 'list',
    list: true,
    absent: 'only the DNS names of the listeners',
    doc: 'With PURSER_CA_NAME_CONSTRAINTS: the DNS names that workload entries may grant, each including all names below it.',
  },
} satisfies Record<string, Setting<unknown>>

type Values = {
  trustDomain: string | undefined
  caNameConstraints: string | undefined
  caDnsSuffixes?: string[] | undefined
}

/** `suffixes` are for workloads; `dns` also has the names of the listeners. */
export type CaConstraints = NameConstraints & { suffixes: readonly string[] }

export function caConstraints(
  values: Values,
  serverNames: readonly string[],
  faults: Fault[],
): CaConstraints | undefined {
  const { trustDomain: uri, caNameConstraints, caDnsSuffixes: suffixes = [] } = values
  if (caNameConstraints === undefined) {
    if (suffixes.length > 0) {
      const problem = 'has no effect without PURSER_CA_NAME_CONSTRAINTS=trust-domain: set both or neither'
      faults.push({ name: 'PURSER_CA_DNS_SUFFIXES', problem })
    }
    return undefined
  }
  if (uri === undefined) return undefined
  if (!isDnsName(uri)) {
    const problem = `needs a trust domain that is a DNS name, which ${uri} is not: leave it out`
    faults.push({ name: 'PURSER_CA_NAME_CONSTRAINTS', problem })
  }
  const dns = [...new Set([...suffixes, ...serverNames.filter((name) => isIP(name) === 0)])]
  if (dns.length === 0) {
    const problem = 'must name at least one suffix: a CA without one may sign for every DNS name'
    faults.push({ name: 'PURSER_CA_DNS_SUFFIXES', problem })
  }
  return { uri, dns, suffixes }
}
