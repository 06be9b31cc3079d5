/** What a verb shows: aligned text for people, or one JSON value for programs. Results on stdout, remarks on stderr. */
import { styleText } from 'node:util'
import type { Io } from './io.ts'

/**
 * Text from outside, made harmless for a terminal: control characters, and those that turn the reading direction or
 * break a line, are shown as escapes (CWE-150).
 */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Columns as wide as their longest cell, two spaces between them, nothing after the last. */
export function table(rows: readonly (readonly string[])[], header?: readonly string[]): string {
  const all = (header ? [header, ...rows] : rows).map((row) => row.map(printable))
  const widths: number[] = []
  for (const row of all) for (const [n, cell] of row.entries()) widths[n] = Math.max(widths[n] ?? 0, cell.length)
  const line = (row: readonly string[]): string =>
    row
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join('  ')
      .trimEnd()
  return all.map((row) => `${line(row)}\n`).join('')
}

/** Selectors, labels and their kind on one line. */
export const pairs = (facts: Readonly<Record<string, string | readonly string[]>>): string =>
  Object.entries(facts)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : `[${value.join(', ')}]`}`)
    .join(' ')

/** As `audit search` shows actors and filters by them: the name of an operator alone. */
export const actorName = (actor: string): string => actor.replace(/^operator:/, '')

export type OutputFlags = { output?: 'table' | 'json' }

/** `value` as JSON where the caller asked for it, else what `words` makes of it. */
export function show<T>(io: Pick<Io, 'stdout'>, flags: OutputFlags, value: T, words: (value: T) => string): void {
  io.stdout.write(flags.output === 'json' ? `${JSON.stringify(value, null, 2)}\n` : words(value))
}

/** A sentence beside the result, where a program that reads stdout doesn't meet it. */
export const remark = (io: Pick<Io, 'stderr'>, text: string): void => void io.stderr.write(`${printable(text)}\n`)

type Format = Parameters<typeof styleText>[0]
export type Style = (format: Format, text: string) => string

/** Colour only on a terminal, and not where NO_COLOR (no-color.org) or a dumb terminal says no. */
export function createStyle({ stdout, env }: Pick<Io, 'stdout' | 'env'>): Style {
  const on = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return (format, text) => (on ? styleText(format, text, { validateStream: false }) : text)
}
