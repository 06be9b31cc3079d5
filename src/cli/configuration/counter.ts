import type { Io } from '../io.ts'

/** On a terminal the line is written over; elsewhere, such as in the log of a job, each is a new one. */
const terminalMs = 500
const otherMs = 10_000

/** Counts what takes long, on stderr. A short run shows nothing. */
export function createCounter({ stderr }: Pick<Io, 'stderr'>, verb: string, total?: number) {
  const isTerminal = stderr.isTTY === true
  const interval = isTerminal ? terminalMs : otherMs
  let next = performance.now() + interval
  let count = 0
  let isShown = false
  return {
    count: (): void => {
      count++
      const now = performance.now()
      if (now < next) return
      next = now + interval
      isShown = true
      const line = `${verb} ${count.toLocaleString('en')}${total === undefined ? '' : ` of ${total.toLocaleString('en')}`}`
      stderr.write(isTerminal ? `\r\x1b[K${line}` : `${line}\n`)
    },
    end: (): void => {
      if (isTerminal && isShown) stderr.write('\r\x1b[K')
    },
  }
}
