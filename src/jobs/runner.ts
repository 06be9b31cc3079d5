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
  /** Runs every job once, now, one after the other, and in the order given. Errors go where they always go. */
  runAll: () => Promise<void>
  /** Begins no further run, and waits for the one under way. */
  stop: () => Promise<void>
}

/** After a failed run: the database may be away, and a line a second would say no more than one. */
const restMs = 10_000

/**
 * @param parts.clock milliseconds of a clock that is never set back
 * @param parts.onRun told of each run; `error` where it failed
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

  /** A run that takes longer than its interval is not overtaken by the next. */
  function once(job: Job): Promise<void> {
    const under = running.get(job.name)
    if (under) return under
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
        // One that began before the call may have looked before the caller's change.
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
