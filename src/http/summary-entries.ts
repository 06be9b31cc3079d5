/** Records the numbers of refusals that have no entry of their own (refusal-summaries.ts). */
import type { Recorder } from '../audit/record.ts'
import { newId } from '../names/id.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Summaries, Summary } from './refusal-summaries.ts'

export type SummaryParts = {
  limits: Pick<Summaries, 'dueSummaries' | 'putBack'>
  recorder: Pick<Recorder, 'note'>
  metrics: Pick<Metrics, 'summarised'>
  now: () => Date
  randomBytes: (size: number) => Buffer
  onError: (error: unknown) => void
}

const intervalMs = 5_000

export function startSummaryEntries(parts: SummaryParts) {
  const { limits, recorder, metrics, now, randomBytes, onError } = parts

  async function record({ attestor, reason, addressPrefix, count, since }: Summary): Promise<void> {
    const open = {
      requestId: newId('req', randomBytes),
      action: 'request.summary' as const,
      time: now(),
      actor: { kind: 'anonymous' as const, ...(attestor !== undefined && { attestor }) },
      source: { ip: addressPrefix },
    }
    await recorder.note(open, 'refused', { reason, detail: { count, since: new Date(since).toISOString() } })
    metrics.summarised(count)
  }

  /** Records the summaries that are due. One that cannot be recorded stays counted. */
  async function write(options?: { all?: boolean }): Promise<void> {
    const due = limits.dueSummaries(options)
    const results = await Promise.allSettled(due.map(record))
    const failed = due.filter((_, n) => results[n]?.status === 'rejected')
    limits.putBack(failed)
    const failure = results.find((result) => result.status === 'rejected')
    if (failure) onError(failure.reason)
  }

  let running: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    running = running.then(() => write())
  }, intervalMs)
  timer.unref()

  return {
    write,
    /** Stops the timer, and records all summaries. */
    async stop(): Promise<void> {
      clearInterval(timer)
      await running
      await write({ all: true })
    },
  }
}
