/** The bound of one team in the tests of bounds, and operators with it. */
import { expect } from 'vitest'
import { type Token, tokenFor } from './accounts.ts'
import { type Ask, fault } from './operator.ts'

/** Workload entries of the team are at one attestor, of which the SPIFFE IDs begin with its name. */
export const boundOfShop = (attestor: string) => ({
  attestors: [attestor],
  namePrefix: 'shop-',
  spiffeIdPrefix: `/${attestor}/shop/`,
  secretPrefix: 'prod/shop/',
  audiences: ['payments'],
  dnsSuffixes: ['shop.svc'],
  databases: ['orders'],
})

export async function operatorOfShop(ask: Ask, name: string, role: string, attestor = 'lab'): Promise<Token> {
  const created = await ask('createOperator', { body: { name, role, bound: boundOfShop(attestor) } })
  expect(fault(created)).toBe('201 ')
  return tokenFor(ask, name)
}
