/** What was opened is closed in the opposite order: when a server stops, and when its start fails half-way. */
export type Closing = {
  /** Takes how to close what was just opened. */
  add(close: () => unknown): void
  /** Closes all of it, once, also what comes after one that fails; then throws the first failure. */
  run(): Promise<void>
}

export function createClosing(): Closing {
  const open: (() => unknown)[] = []
  return {
    add: (close) => void open.push(close),
    async run() {
      const failures: unknown[] = []
      for (let close = open.pop(); close; close = open.pop()) {
        try {
          await close()
        } catch (error) {
          failures.push(error)
        }
      }
      if (failures.length > 0) throw failures[0]
    },
  }
}
