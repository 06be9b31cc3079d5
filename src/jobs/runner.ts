/**
 * Background work in every process. A job that one replica at a time may do takes its advisory lock itself (once.ts), so
 * any replica may stop at any moment. An error ends one run, never the process: the next run tries again.
 */
export type Job = {
  name: string
  everySeconds: number
  run: () => Promise<void>
}

export type Jobs = {
  /** Runs every job once, now, in order. */
  runAll: () => Promise<void>
  /** Begins no further run, and waits for running ones. */
  stop: () => Promise<void>
}

/** The pause after a failed run: the database may be away, and one log line a second would not help. */
const restMs = 10_000

/**
 * @param parts.clock milliseconds of a clock that is never set back
 * @param parts.onRun called after each run, with `error` where it failed
 */
export function startJobs(
  jobs: readonly Job[],
  parts: { clock: () => number; onRun: (job: string, error?: unknown) => void },
): Jobs {
  const restUntil = new Map<string, number>()
  const running = new Map<string, Promise<void>>()
  const timers = new Set<NodeJS.Timeout>()
  let stopped = false

  async function attempt({ name, run }: Job): Promise<void> {
    try {
      await run()
      parts.onRun(name)
    } catch (error) {
      restUntil.set(name, parts.clock() + restMs)
      parts.onRun(name, error)
    }
  }

  /** The runs of one job never overlap. */
  function once(job: Job): Promise<void> {
    const current = running.get(job.name)
    if (current) return current
    if (stopped) return Promise.resolve()
    const run = attempt(job).finally(() => running.delete(job.name))
    running.set(job.name, run)
    return run
  }

  for (const job of jobs) {
    const timer = setInterval(() => {
      if (parts.clock() >= (restUntil.get(job.name) ?? 0)) void once(job)
    }, job.everySeconds * 1000)
    timer.unref()
    timers.add(timer)
  }
  return {
    async runAll() {
      for (const job of jobs) {
        // A run that began before the call may have missed the caller's change.
        await running.get(job.name)
        await once(job)
      }
    },
    async stop() {
      stopped = true
      for (const timer of timers) clearInterval(timer)
      await Promise.all(running.values())
    },
  }
}
