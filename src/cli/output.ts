/** Output of a verb: aligned text for people, or one value as JSON or YAML for programs. Results go to stdout, remarks to stderr. */
import { styleText } from 'node:util'
import { stringify } from 'yaml'
import type { Io } from './io.ts'

/**
 * Makes untrusted text safe for a terminal: control characters, and characters that change the reading direction or
 * break a line, become escapes (CWE-150).
 */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Columns are as wide as their longest cell, two spaces apart, without trailing spaces. */
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

/** Selectors or labels on one line. */
export const pairs = (facts: Readonly<Record<string, string | readonly string[]>>): string =>
  Object.entries(facts)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : `[${value.join(', ')}]`}`)
    .join(' ')

/** The name of an operator without its prefix, as `audit search` filters by it. */
export const actorName = (actor: string): string => actor.replace(/^operator:/, '')

/** A time up to its minute. */
export const minute = (time: string): string => time.slice(0, 16).replace('T', ' ')

export const outputFormats = ['table', 'json', 'yaml'] as const

export type OutputFlags = { output?: (typeof outputFormats)[number] }

export const asJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** An object that is there twice is repeated, since many readers refuse aliases. Readers of YAML 1.1 take yes for true. */
export const asYaml = (value: unknown): string =>
  stringify(value, { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' })

/** Prints `value` as JSON or YAML where `--output` names one, else as `text` formats it. */
export function show<T>(
  io: Pick<Io, 'stdout'>,
  { output = 'table' }: OutputFlags,
  value: T,
  text: (value: T) => string,
): void {
  const format = { table: text, json: asJson, yaml: asYaml }[output]
  io.stdout.write(format(value))
}

/** Prints a remark to stderr, apart from the result on stdout. */
export const remark = (io: Pick<Io, 'stderr'>, text: string): void => void io.stderr.write(`${printable(text)}\n`)

type Format = Parameters<typeof styleText>[0]
export type Style = (format: Format, text: string) => string

/** Colours text on a terminal, unless NO_COLOR (no-color.org) is set or the terminal is dumb. */
export function createStyle({ stdout, env }: Pick<Io, 'stdout' | 'env'>): Style {
  const on = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  return (format, text) => (on ? styleText(format, text, { validateStream: false }) : text)
}
