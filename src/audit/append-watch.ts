/** Whether appends succeed now: readiness follows it. Where no request appends, a commit of its own tells. */

export type AppendWatch = {
  /** An append of this process was acknowledged. */
  succeeded: () => void
  /** False from a commit that failed to the next one that succeeds. */
  succeeds: () => boolean
  stop: () => void
}

const everyMs = 1_000
/** Milliseconds after an acknowledged commit for which none is tried. */
const quietMs = 5_000

/** @param confirm commits as an append does, and fails within seconds where one can't */
export function watchAppends({ confirm, now }: { confirm: () => Promise<unknown>; now: () => number }): AppendWatch {
  let last = now()
  let failed = false
  let running = false

  const succeeded = (): void => {
    last = now()
    failed = false
  }

  async function look(): Promise<void> {
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

  const timer = setInterval(() => void look(), everyMs)
  timer.unref()
  return { succeeded, succeeds: () => !failed, stop: () => clearInterval(timer) }
}
