/** One thing that is wrong with the configuration: the name as the operator wrote it, and what to do. */
export type Fault = { name: string; problem: string }

/** Every fault of one configuration at once. Its message names settings and never repeats a secret's value. */
export class ConfigError extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  readonly faults: readonly Fault[]
  constructor(faults: readonly Fault[]) {
    const count = faults.length === 1 ? 'one setting is wrong' : `${faults.length} settings are wrong`
    super([`the configuration can't be used, ${count}:`, ...faults.map((f) => `  ${f.name}: ${f.problem}`)].join('\n'))
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/** Thrown by the parser of one value; the reader adds the name. */
export class BadValue extends Error {
  constructor(problem: string) {
    super(problem)
    this.name = 'BadValue'
  }
}
