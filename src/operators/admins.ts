/**
 * Purser always has an admin who can act: an enabled operator with that role and without a bound, and with a password or a
 * live token of that role for all routes. A login session is no such token: it ends by itself.
 */
import type { ApiTokenRow, OperatorRow } from '../store/rows.ts'

type Accounts = {
  operators: ReadonlyMap<string, OperatorRow>
  apiTokens: ReadonlyMap<string, ApiTokenRow>
}

export const isLiveToken = ({ revokedAt, expiresAt }: ApiTokenRow, now: Date): boolean => !revokedAt && expiresAt > now

export function hasAdmin({ operators, apiTokens }: Accounts, now: Date): boolean {
  for (const operator of operators.values()) if (isAdmin(operator) && operator.passwordAt) return true
  for (const token of apiTokens.values()) {
    const operator = operators.get(token.operator)
    if (operator && isAdmin(operator) && isAdminToken(token) && isLiveToken(token, now)) return true
  }
  return false
}

const isAdmin = ({ role, disabled, bound }: OperatorRow): boolean => role === 'admin' && !disabled && !bound

const isAdminToken = ({ role, routes, bound, login }: ApiTokenRow): boolean =>
  role === 'admin' && !routes && !bound && !login

/** The accounts once an operator is another one, or removed. */
export function withOperator(
  { operators, apiTokens }: Accounts,
  name: string,
  operator: OperatorRow | undefined,
): Accounts {
  const next = new Map(operators)
  if (operator) next.set(name, operator)
  else next.delete(name)
  return { operators: next, apiTokens }
}

/** The accounts once tokens are revoked. */
export const withoutTokens = ({ operators, apiTokens }: Accounts, ids: readonly string[]): Accounts => ({
  operators,
  apiTokens: new Map([...apiTokens].filter(([id]) => !ids.includes(id))),
})
