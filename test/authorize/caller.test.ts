/** The permissions of an operator in each newer snapshot. Running requests, watches and exports are judged by them. */
import { describe, expect, it } from 'vitest'
import { type Caller, isLiveCaller } from '../../src/authorize/caller.ts'
import type { ApiTokenRow, OperatorRow } from '../../src/store/rows.ts'
import type { Snapshot } from '../../src/store/snapshot.ts'

const now = new Date('2026-11-27T08:00:00Z')
const operator: OperatorRow = {
  id: 'op_1',
  name: 'ada',
  role: 'operator',
  disabled: false,
  revision: 3,
  createdAt: now,
  updatedAt: now,
}
const token: ApiTokenRow = {
  id: 'tok_1',
  hash: '',
  operator: 'ada',
  role: 'operator',
  createdAt: now,
  expiresAt: new Date(now.getTime() + 60_000),
  used: true,
}
const caller: Caller = {
  kind: 'operator',
  operator: 'ada',
  role: 'operator',
  operatorRole: 'operator',
  revision: 3,
  tokenId: 'tok_1',
  firstUse: false,
}

function isLive(operators: OperatorRow[], tokens: ApiTokenRow[], at = now): boolean {
  const accounts = {
    operators: new Map(operators.map((row) => [row.name, row])),
    apiTokens: new Map(tokens.map((row) => [row.id, row])),
  }
  return isLiveCaller(caller, accounts as Partial<Snapshot> as Snapshot, at)
}

describe('an operator', () => {
  it('keeps them while account and token are unchanged', () => {
    expect(isLive([operator], [token])).toBe(true)
  })

  it.each<[string, OperatorRow[], ApiTokenRow[]]>([
    ['the operator is disabled', [{ ...operator, disabled: true, revision: 4 }], [token]],
    ['the operator was disabled and enabled again', [{ ...operator, revision: 5 }], [token]],
    ['the operator has another role', [{ ...operator, role: 'auditor', revision: 4 }], [token]],
    ['the operator is removed', [], [token]],
    ['the token is revoked', [operator], [{ ...token, revokedAt: now }]],
    ['the token is deleted', [operator], []],
  ])('loses them when %s', (_, operators, tokens) => {
    expect(isLive(operators, tokens)).toBe(false)
  })

  it('loses them at the end of the token', () => {
    expect(isLive([operator], [token], token.expiresAt)).toBe(false)
  })
})
