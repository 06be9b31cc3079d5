/** Every kind of attestor, one line each. A new kind is one file and one line here. */
import type { Outbound } from '../outbound/client.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Attestor } from './attestor.ts'
import { createOidcAttestor } from './oidc.ts'

export type AttestorParts = { outbound: Outbound }
type Make = (row: AttestorRow, parts: AttestorParts) => Attestor

const kinds: Record<string, Make> = {
  oidc: createOidcAttestor,
}

export function createAttestor(row: AttestorRow, parts: AttestorParts): Attestor {
  const make = kinds[row.kind]
  if (!make) throw new Error(`no attestor of kind ${row.kind}`)
  return make(row, parts)
}
