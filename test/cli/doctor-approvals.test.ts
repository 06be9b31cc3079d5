import { describe, expect, it } from 'vitest'
import { checkApprovals } from '../../src/cli/doctor/approvals.ts'
import { type ApprovableAction, approvable, isApprovable } from '../../src/operators/approvable.ts'
import type { Role } from '../../src/store/rows.ts'

const operator = (role: Role, part: object = {}) => ({ role, disabled: false, ...part })
const bound = { attestors: [], audiences: [], databases: [], dnsSuffixes: [] }
const two = [operator('admin'), operator('admin')]
const all = Object.keys(approvable).filter(isApprovable)
const accounts: ApprovableAction[] = ['operator.create', 'operator.replace', 'token.create', 'token.replace']

const said = (actions: ApprovableAction[], operators: Parameters<typeof checkApprovals>[1]) =>
  checkApprovals({ actions, lifetimeSeconds: 3600 }, operators).map(({ level, what }) => `${level} ${what}`)

describe('purser doctor, approvals', () => {
  it('finds nothing without a list, and with two admins', () => {
    expect(said([], [])).toEqual([])
    expect(said(all, two)).toEqual([])
  })

  it('warns where an admin can create its own second operator', () => {
    expect(said(['log.redact', 'token.create'], two)).toEqual([
      'warn no approval is needed for operator.create, operator.replace, token.replace',
    ])
  })

  it.each([
    ['one admin', [operator('admin')]],
    ['a disabled one', [operator('admin'), operator('admin', { disabled: true })]],
    ['a bounded one', [operator('admin'), operator('admin', { bound })]],
    ['one of another role', [operator('admin'), operator('auditor')]],
  ])('warns where fewer than two could approve: %s', (_, operators) => {
    expect(said(['log.redact', ...accounts], operators)).toEqual([
      'warn fewer than two operators could approve log.redact, operator.create, operator.replace and 2 more',
    ])
  })

  it('counts the roles that each action needs', () => {
    const some = [operator('admin'), operator('auditor'), operator('operator')]
    expect(said(['audit.export', 'secret.read', ...accounts], [...some, operator('admin')])).toEqual([])
    expect(said(['audit.export', 'secret.read', ...accounts], some)).toEqual([
      'warn fewer than two operators could approve operator.create, operator.replace, token.create and 1 more',
    ])
  })
})
