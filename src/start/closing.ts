export type Closing = ReturnType<typeof createClosing>

/** Closes parts in the opposite order of their opening, when a server stops or its start fails. */
export function createClosing() {
  const open: (() => unknown)[] = []
  return {
    /** Adds the closing of a part that was just opened. */
    add: (close: () => unknown) => void open.push(close),
    /** Closes every part once, in spite of failures; then throws the first failure. */
    async run(): Promise<void> {
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
