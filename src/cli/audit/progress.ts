/** The progress of an export or its verification, on stderr: entries, bytes and rate. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'

export type ProgressFlags = { progress?: boolean }

export type Progress = {
  /** Counts the bytes of the next chunk, and the entries in them. */
  count(chunk: Buffer): void
  /** Ends the line, with the totals. */
  end(): void
}

export const withProgress = (command: Command): Command =>
  command
    .option('--progress', 'show entries, bytes and rate on stderr also without a terminal')
    .option('--no-progress', 'show no progress')

/** On a terminal the line is written over; elsewhere, such as in the log of a job, each is a new one. */
const terminalMs = 500
const otherMs = 10_000

/** The first bytes of the line of an entry (@purser/sdk/verify, export-format). Line breaks in its text are escaped. */
const entryStart = Buffer.from('\n{"epoch"')

/**
 * @param verb what happens, in the past tense
 * @param totalBytes for the share that is done
 */
export function createProgress(
  { stderr }: Pick<Io, 'stderr'>,
  { progress }: ProgressFlags,
  { verb, totalBytes }: { verb: string; totalBytes?: number | undefined },
): Progress {
  const isTerminal = stderr.isTTY === true
  const isVisible = progress ?? isTerminal
  const began = performance.now()
  let next = began + (isTerminal ? terminalMs : otherMs)
  let [entries, bytes] = [0, 0]
  let end: Buffer = Buffer.alloc(0)

  function count(chunk: Buffer): void {
    bytes += chunk.length
    // A line may begin in one chunk and go on in the next.
    const joined = Buffer.concat([end, chunk])
    for (let at = joined.indexOf(entryStart); at >= 0; at = joined.indexOf(entryStart, at + entryStart.length))
      entries++
    end = joined.subarray(Math.max(0, joined.length - entryStart.length + 1))
    const now = performance.now()
    if (!isVisible || now < next) return
    next = now + (isTerminal ? terminalMs : otherMs)
    write(isTerminal ? `\r\x1b[K${line(now)}` : `${line(now)}\n`)
  }

  function line(now: number): string {
    const seconds = Math.max((now - began) / 1000, 0.001)
    const share = totalBytes !== undefined && totalBytes > 0 ? ` (${Math.floor((bytes / totalBytes) * 100)} %)` : ''
    const rate = Math.round(entries / seconds).toLocaleString('en')
    return `${verb} ${entries.toLocaleString('en')} entries, ${sizeOf(bytes)}${share}, ${rate} entries/s`
  }

  const write = (text: string): void => void stderr.write(text)

  return {
    count,
    end: () => (isVisible ? write(`${isTerminal ? '\r\x1b[K' : ''}${line(performance.now())}\n`) : undefined),
  }
}

const units = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const

function sizeOf(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1]
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`
}
