/** Watches whether appends succeed, for the readiness check. Without recent appends it tries a commit of its own. */

export type AppendWatch = {
  /** Called when an append of this process is acknowledged. */
  succeeded: () => void
  /** False between a failed commit and the next successful one. */
  succeeds: () => boolean
  stop: () => void
}

const everyMs = 1_000
/** Milliseconds after an acknowledged commit during which no commit is tried. */
const quietMs = 5_000

/** @param confirm commits as an append does, and fails within seconds when commits fail */
export function watchAppends({ confirm, now }: { confirm: () => Promise<unknown>; now: () => number }): AppendWatch {
  let last = now()
  let failed = false
  let running = false

  const succeeded = (): void => {
    last = now()
    failed = false
  }

  async function check(): Promise<void> {
    if (running || (!failed && now() - last < quietMs)) return
    running = true
    try {
      await confirm()
      succeeded()
    } catch {
      failed = true
    } finally {
      running = false
    }
  }

  const timer = setInterval(() => void check(), everyMs)
  timer.unref()
  return { succeeded, succeeds: () => !failed, stop: () => clearInterval(timer) }
}
