/**
 * Rotators make the versions of a secret, and set them at a target. Each kind is one file and one line in kinds.ts. A
 * rotation stages its value, sealed, in the transaction of its `intended` entry; effects follow, so that a crash never
 * loses a value that was set at a target. Replicas repeat effects until they succeed: each is idempotent, and none runs
 * in a transaction.
 */
import type { Problem } from '../../errors.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { SecretData } from '../value.ts'

/** The member `rotator` of a policy. The schema of openapi.yaml validates it. */
export type RotatorConfig = { kind: string } & Record<string, unknown>

/** What each effect receives. */
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
  /** The live value was deleted or has expired: the next value must not contain any of it. */
  isOver?: boolean
}

export type Rotator = {
  kind: string
  /**
   * Whether a value works only once it is set at a target. Then PUT cannot write it, and no rotation begins while a live
   * consumer holds the version before the live one, unless the policy allows it (`allowOverlap`).
   */
  effects: boolean
  /** Faults of the configuration. Pointers are relative to `rotator`: `/url`. */
  check: (config: RotatorConfig, snapshot: Snapshot) => Problem[]
  /** Where values go in the clear, with earlier ones and members that do not change: the recipient can read the secret. */
  recipient?: (config: RotatorConfig) => string
  /** Names of what the policy changes, equal in all policies of the kind: two with one name would undo each other. */
  claims?: (config: RotatorConfig, snapshot: Snapshot) => Claimed[]
  /** Faults of a value that an operator supplies, pointers relative to it. Absent where every value is accepted. */
  checkSupplied?: (data: SecretData, next: Next) => Problem[]
  /** Why a rollback cannot set a value again. */
  refusesAgain?: (data: SecretData, live: Pick<Next, 'config' | 'current'>) => string | undefined
  /** Makes the value of the next version, without an effect. @throws RotatorError where it cannot */
  next: (next: Next) => Promise<SecretData>
  /**
   * Makes the staged value work at the target, beside the live one where the target can. Idempotent. A rollback stages an
   * earlier value.
   * @throws RotatorError
   */
  issue?: (effect: Effect & { version: number; staged: SecretData; current?: SecretData }) => Promise<void>
  /**
   * Ends a value at the target with its open connections. `remaining` stays valid, also where both name one account. After a
   * rollback, `ended` is the newer value. It is absent where it was destroyed: then every value except `remaining` ends.
   * @throws RotatorError
   */
  retire?: (effect: Effect & { ended?: SecretData; remaining: SecretData }) => Promise<void>
  /** Tries whether a value works at the target. @throws RotatorError where that stays unknown */
  works?: (value: { config: RotatorConfig; path: string; data: SecretData }) => Promise<boolean>
}

/**
 * A failed attempt. Operators and the log see code and detail: Purser's own words and system error codes, never text of
 * the target.
 */
export class RotatorError extends Error {
  readonly safeToLog = true
  readonly code: string
  readonly detail: string
  /** Retrying cannot help until an operator changes something. */
  readonly hopeless: boolean
  /** It failed before any effect by what the rotation is fixed to: no attempt has set anything. */
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

/** By kind. */
export type Rotators = ReadonlyMap<string, Rotator>
