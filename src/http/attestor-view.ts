/** An attestor as the API shows it and as the log keeps it: what is stored has every default that it works by. */
import type { AttestorRow } from '../store/rows.ts'

export function showAttestor(row: AttestorRow) {
  return { id: row.id, ...attestorState(row), revision: row.revision }
}

/** For `change.after`. It holds no secret: tokens are read from files that it names. */
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
