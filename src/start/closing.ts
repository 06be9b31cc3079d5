/** Closes parts in the opposite order of their opening, when a server stops or its start fails. */
export type Closing = {
  /** Adds the closing of a part that was just opened. */
  add(close: () => unknown): void
  /** Closes every part once, in spite of failures; then throws the first failure. */
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
