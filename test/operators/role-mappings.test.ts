import { describe, expect, it } from 'vitest'
import { mapClaims } from '../../src/operators/role-mappings.ts'

const rules = {
  issuer: 'https://login.example',
  nameClaim: 'preferred_username',
  mappings: [
    { role: 'admin', claim: 'email_verified', value: 'true' },
    { role: 'operator', claim: 'groups', value: 'operators' },
  ],
} as const
const roleOf = (claims: Record<string, unknown>): string => {
  const mapped = mapClaims({ preferred_username: 'ada', ...claims }, rules)
  return 'fault' in mapped ? mapped.fault : mapped.role
}
const none = 'no claim is mapped to a role'

describe('the claims of an ID token', () => {
  it.each([
    [{ groups: 'operators' }, 'operator'],
    [{ groups: ['others', 'operators'] }, 'operator'],
    [{ groups: 'operators,others' }, none],
    [{ groups: 'Operators' }, none],
    [{ groups: ['operators '] }, none],
    [{ groups: [['operators']] }, none],
    [{ groups: { operators: true } }, none],
    [{ email_verified: true }, none],
    [{ email_verified: 1 }, none],
    [{}, none],
  ])('give a role by equal text alone: %j', (claims, role) => {
    expect(roleOf(claims)).toBe(role)
  })

  it.each([
    ['an address, verified or not', { preferred_username: 'ada@example.org', email_verified: 'true' }],
    ['capitals', { preferred_username: 'Ada' }],
    ['no text', { preferred_username: ['ada'] }],
    ['a reserved word', { preferred_username: 'system' }],
    ['no name', { preferred_username: undefined }],
  ])('give no name by %s', (_, claims) => {
    expect(roleOf({ groups: 'operators', ...claims })).toBe(
      'the claim preferred_username is not the name of an operator',
    )
  })

  it('give nothing by a member of the prototype', () => {
    const inherited = { ...rules, mappings: [{ role: 'admin', claim: 'constructor', value: 'Object' }] } as const
    expect(mapClaims({ preferred_username: 'ada' }, inherited)).toEqual({ fault: none })
  })
})
