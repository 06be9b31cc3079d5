import { joinTokenKind } from '../../attest/attest.ts'
import { refuse } from '../../errors.ts'
import type { AttestorRow } from '../../store/rows.ts'

export const isBuiltIn = ({ kind }: AttestorRow): boolean => kind === joinTokenKind

export function refuseBuiltIn(row: AttestorRow): void {
  if (isBuiltIn(row)) throw refuse('conflict', { detail: `the attestor ${row.name} is built in` })
}
