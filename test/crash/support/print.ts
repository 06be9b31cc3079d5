/** Prints one line with numbers for each test. */
import type { Verdict } from './judge.ts'

const textOf = (value: string | number): string =>
  typeof value === 'number' ? String(Math.round(value)) : `(${value})`

export function print(name: string, numbers: Record<string, string | number>, verdict?: Verdict): void {
  const { problems, log: _, ...counted } = verdict ?? { problems: [], log: [] }
  const all = { ...numbers, ...counted, ...(verdict && { problems: problems.length }) }
  const parts = Object.entries(all).map(([name, value]) => `${name} ${textOf(value)}`)
  process.stdout.write(`${name}: ${parts.join(', ')}\n`)
}

/** A number from the environment, for longer runs. */
export const countFor = (name: string, usual: number): number => Number(process.env[name] ?? usual)
