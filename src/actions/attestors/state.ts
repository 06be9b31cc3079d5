import { joinTokenKind } from '../../attest/attest.ts'
import { refuse } from '../../errors.ts'
import type { AttestorRow } from '../../store/rows.ts'

/** An attestor with every default that it works by. It holds no secret: tokens are read from files that it names. */
export function attestorState({ name, kind, issuer, audience, spiffeIdPrefix, definition }: AttestorRow) {
  return {
    ...definition,
    name,
    kind,
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
    spiffeIdPrefix,
  }
}

export const isBuiltIn = ({ kind }: AttestorRow): boolean => kind === joinTokenKind

export function refuseBuiltIn(row: AttestorRow): void {
  if (isBuiltIn(row)) throw refuse('conflict', { detail: `the attestor ${row.name} is built in` })
}
