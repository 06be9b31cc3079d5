/**
 * The actions that a second operator may have to approve. Their requests carry no secret: an approver reads the request, and
 * the database stores it.
 */
import { createHash } from 'node:crypto'
import { canonicalize } from '@purser/sdk/verify'
import type { Action } from '../audit/entry.ts'
import type { OperatorPermission } from './permissions.ts'

export const approvable = {
  'log.redact': 'the text of entries is removed from the log',
  'log.open': 'issuing begins again after a new epoch',
  'key.create': 'a new root, issuing CA, or key for tokens or the log signs, or the keyring is rotated',
  'key.import': 'a chain of an upstream CA signs',
  'attestor.create': 'another source of proofs is trusted',
  'attestor.replace': 'another source of proofs is trusted under an existing name',
  'attestor.delete': 'an attestor is removed',
  'workload.create': 'a workload is registered, with its grants',
  'workload.replace': 'a workload gets other grants',
  'join-token.create': 'a token is created with which a workload attests',
  'operator.create': 'another operator exists',
  'operator.replace': 'an operator gets another role or bound',
  'operator.delete': 'an operator is removed',
  'token.create': 'an API token is created, which acts as its operator',
  'token.replace': 'an API token is created in place of another one',
  'secret.read': 'an operator reads a value; workloads read without an approval',
  'secret.destroy': 'values are destroyed',
  'audit.export': 'the log leaves as a whole',
} as const satisfies Partial<Record<Action, string>>

export type ApprovableAction = keyof typeof approvable

export const isApprovable = (action: string): action is ApprovableAction => Object.hasOwn(approvable, action)

/** The permission that an approver needs: that of the route, but for tokens, which every operator may create for itself. */
export const approverPermission = (action: ApprovableAction, permission: OperatorPermission): OperatorPermission =>
  action === 'token.create' || action === 'token.replace' ? 'tokens.write' : permission

/** Without these, one admin can become its own second operator. */
export const actionsOfAccounts = ['operator.create', 'operator.replace', 'token.create', 'token.replace'] as const

/** What must be the same when an approved request is sent. */
export type ExactRequest = {
  method: string
  /** With its query, as it is sent. */
  path: string
  /** As it is sent: `"4"`. */
  ifMatch?: string
  body?: unknown
}

/** One text for equal requests. */
export const requestText = (request: ExactRequest): string => canonicalize(request)

/** The claim that a use of the approval makes. */
export const useKeyOf = (id: string): Buffer => createHash('sha256').update(`approval ${id}`).digest()
