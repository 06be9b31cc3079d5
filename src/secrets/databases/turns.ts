/** Bounds the connections to one target: a thousand starting containers must not make a thousand logins. */
import { TargetError } from './target-error.ts'

export type Turns = <T>(id: string, work: () => Promise<T>) => Promise<T>

export function createTurns({ together, waiting: maxWaiting }: { together: number; waiting: number }): Turns {
  const lines = new Map<string, { running: number; waiting: (() => void)[] }>()
  return async (id, work) => {
    const line = lines.get(id) ?? { running: 0, waiting: [] }
    lines.set(id, line)
    if (line.running >= together) {
      if (line.waiting.length >= maxWaiting) throw new TargetError('unreachable', 'too many wait for this database')
      // A turn passes to the longest waiting: later callers do not overtake.
      await new Promise<void>((resolve) => line.waiting.push(resolve))
    } else line.running++
    try {
      return await work()
    } finally {
      const next = line.waiting.shift()
      if (next) next()
      else if (--line.running === 0) lines.delete(id)
    }
  }
}
