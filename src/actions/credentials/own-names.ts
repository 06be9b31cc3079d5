/**
 * No workload gets a name or audience of Purser itself, or a name that its CA may not sign for. An entry is checked when it
 * is written. The configuration may name more since then, so an issuance is checked as well.
 */
import type { OwnRules } from '../../authorize/entry-rules.ts'
import type { Grant } from '../../authorize/grant.ts'
import { type Problem, refuse } from '../../errors.ts'
import { isUnder } from '../../names/dns-name.ts'

type Requested = { x509?: { dnsNames?: readonly string[] }; jwts?: readonly { audience: readonly string[] }[] }

/** @throws Refusal `not_granted` */
export function refuseOwn(
  { x509, jwts = [] }: Requested,
  grant: Pick<Grant, 'x509'>,
  own: Pick<OwnRules, 'names' | 'audiences' | 'dnsSuffixes'>,
): void {
  const names = x509 ? (x509.dnsNames ?? grant.x509?.dnsNames ?? []) : []
  const errors: Problem[] = [
    ...names
      .filter((name) => own.names.has(name))
      .map((name) => ({ pointer: '/x509/dnsNames', detail: `${name} is one of Purser's own host names` })),
    ...names
      .filter((name) => own.dnsSuffixes && !isUnder(name, own.dnsSuffixes))
      .map((name) => ({ pointer: '/x509/dnsNames', detail: `${name} is under none of PURSER_CA_DNS_SUFFIXES` })),
    ...jwts.flatMap(({ audience }, n) =>
      audience.flatMap((name, m) =>
        own.audiences.has(name)
          ? [{ pointer: `/jwts/${n}/audience/${m}`, detail: 'is an audience that addresses Purser itself' }]
          : [],
      ),
    ),
  ]
  if (errors.length > 0) throw refuse('not_granted', { errors })
}
