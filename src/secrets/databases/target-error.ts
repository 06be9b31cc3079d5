/** Faults of a target database in Purser's own words: the server's messages quote names and values. */

export type TargetFault =
  | 'unreachable'
  | 'untrusted'
  | 'wrong_credential'
  | 'not_permitted'
  | 'not_granted'
  | 'missing'
  | 'in_the_way'
  | 'too_powerful'
  | 'failed'

export class TargetError extends Error {
  readonly safeToLog = true
  readonly fault: TargetFault
  readonly detail: string
  constructor(fault: TargetFault, detail: string) {
    super(`${fault}: ${detail}`)
    this.name = 'TargetError'
    this.fault = fault
    this.detail = detail
  }
}

const codeOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : ''
}

/** SQLSTATE (PostgreSQL documentation, appendix A), then codes of Node's sockets and TLS. */
const faultsByCode: [RegExp, TargetFault, string][] = [
  [/^28/, 'wrong_credential', 'the server does not take this user and password'],
  [/^3D000$/, 'missing', 'the server has no such database'],
  [/^42501$/, 'not_permitted', 'the administrative role may not do this'],
  [/^(42704|3F000|42P01|42883)$/, 'missing', 'a role, schema or object of the definition does not exist'],
  [/^(2BP01|2BP03|42710)$/, 'in_the_way', 'something in the database still depends on the role, or has its name'],
  [/^(08|57P|53300|25006)/, 'unreachable', 'the server takes no connection, or ended it'],
  [/^(57014|55P03)$/, 'failed', 'the server took too long'],
  [/^(XX000|40P01|40001)$/, 'failed', 'another session changed the same object at the same time'],
  [/CERT|^ERR_TLS|^ERR_SSL|SIGNATURE|ISSUER|SELF_SIGNED/, 'untrusted', 'the server’s certificate is not one to trust'],
  [/^(E[A-Z_]+)$/, 'unreachable', 'the server can’t be reached'],
]

const faultsByMessage: [RegExp, TargetFault, string][] = [
  [/does not support SSL/, 'untrusted', 'the server speaks no TLS'],
  [/timeout|terminated|Connection ended|closed/i, 'unreachable', 'the server did not answer, or went away'],
]

export function targetError(error: unknown): TargetError {
  if (error instanceof TargetError) return error
  const code = codeOf(error)
  const match =
    code === ''
      ? faultsByMessage.find(([pattern]) => error instanceof Error && pattern.test(error.message))
      : faultsByCode.find(([pattern]) => pattern.test(code))
  const [, fault, detail] = match ?? [undefined, 'failed' as const, 'the server refused']
  return new TargetError(fault, code === '' ? detail : `${detail} (${code})`)
}
