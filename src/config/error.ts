/** A fault of the configuration: the name as the operator wrote it, and what to do. */
export type Fault = { name: string; problem: string }

/** All faults of a configuration. The message names settings and never quotes a secret. */
export class ConfigError extends Error {
  /** The message holds no untrusted text. */
  readonly safeToLog = true
  readonly faults: readonly Fault[]
  constructor(faults: readonly Fault[]) {
    const count = faults.length === 1 ? 'one setting is wrong' : `${faults.length} settings are wrong`
    super([`the configuration can't be used, ${count}:`, ...faults.map((f) => `  ${f.name}: ${f.problem}`)].join('\n'))
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/** Thrown by the parser of a value; the caller adds the name. */
export class BadValue extends Error {
  constructor(problem: string) {
    super(problem)
    this.name = 'BadValue'
  }
}
