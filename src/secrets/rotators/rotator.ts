/**
 * What makes the versions of a secret, and tells them to where they open something. One file a kind, and one line in
 * kinds.ts. A rotation generates its value first and stages it sealed, in the transaction of its `intended` entry; only
 * then there are effects, so that a crash never loses a value that was set somewhere. Effects are repeated until they
 * succeed, by whichever replica comes first: each is idempotent, and none runs inside a transaction.
 */
import type { Problem } from '../../errors.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { SecretData } from '../value.ts'

/** The member `rotator` of a policy, as the operator wrote it and the API description let it pass. */
export type RotatorConfig = { kind: string } & Record<string, unknown>

/** What every effect is told. */
export type Effect = {
  config: RotatorConfig
  rotationId: string
  path: string
  /** 1 for the first try of this step; it counts over all replicas. */
  attempt: number
}

/** @property pointer relative to `rotator` */
type Claimed = { pointer: string; name: string }

export type Next = {
  config: RotatorConfig
  path: string
  /** The version that the value is for. */
  version: number
  /** The live value; absent where it was destroyed. */
  current?: SecretData
  /** Nobody may read the live value any more: it was deleted, or has expired. Nothing of it may come along. */
  isOver?: boolean
}

export type Rotator = {
  kind: string
  /**
   * Whether a value counts only once it was set at a target. Then it isn't written by PUT, and no rotation begins while a
   * live consumer holds the version before the live one, unless the policy's `allowOverlap` says so.
   */
  effects: boolean
  /** What is wrong with the policy's part for it. Pointers are relative to `rotator`: `/url`. */
  check: (config: RotatorConfig, snapshot: Snapshot) => Problem[]
  /** Where values go in the clear, with earlier ones and members that do not change: the recipient can read the secret. */
  recipient?: (config: RotatorConfig) => string
  /** What it changes by this policy, under names that are the same in each policy of its kind: two would undo each other. */
  claims?: (config: RotatorConfig, snapshot: Snapshot) => Claimed[]
  /** What is wrong with a value that the operator supplies, pointers relative to it; without this any is taken. */
  checkSupplied?: (data: SecretData, next: Next) => Problem[]
  /** Why a value can't be set again, where that is known before any effect: it was never this one's to set. */
  refusesAgain?: (data: SecretData, live: Pick<Next, 'config' | 'current'>) => string | undefined
  /** The value of the next version, before any effect. @throws RotatorError where there can be none now */
  next: (next: Next) => Promise<SecretData>
  /**
   * Makes the staged value work at the target, beside the live one as far as the target can. Again with the same staged
   * value: the same outcome. A rollback calls it too, with an earlier value as the staged one.
   * @throws RotatorError
   */
  issue?: (effect: Effect & { version: number; staged: SecretData; current?: SecretData }) => Promise<void>
  /**
   * Ends a value at the target, open connections included. `kept` goes on working, also where both name the same account.
   * After a rollback, `ended` is the newer one. It is absent where its value was destroyed: then whatever the target knows
   * beside `kept` ends.
   * @throws RotatorError
   */
  retire?: (effect: Effect & { ended?: SecretData; kept: SecretData }) => Promise<void>
  /** Whether a value opens its target now, tried there. @throws RotatorError where that can't be found out */
  works?: (asked: { config: RotatorConfig; path: string; data: SecretData }) => Promise<boolean>
}

/**
 * An attempt that failed. Code and detail are shown to operators and kept in the log: our own words and system error
 * codes, never what the other side sent.
 */
export class RotatorError extends Error {
  readonly safeToLog = true
  readonly code: string
  readonly detail: string
  /** Trying again can't help: somebody must change something first. */
  readonly hopeless: boolean
  /** It failed by what a rotation is fixed to, before any effect: so did every attempt before, and nothing was ever set. */
  readonly untouched: boolean

  constructor(code: string, detail: string, options: { hopeless?: boolean; untouched?: boolean } = {}) {
    super(`${code}: ${detail}`)
    this.name = 'RotatorError'
    this.code = code
    this.detail = detail
    this.untouched = options.untouched ?? false
    this.hopeless = options.hopeless ?? this.untouched
  }
}

/** By their kinds. */
export type Rotators = ReadonlyMap<string, Rotator>
