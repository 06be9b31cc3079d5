/** One row of the tables of settings, and short ways to write the common kinds. */
import { text, wholeNumber } from './values.ts'

export type Setting<T> = {
  env: string
  /** Dotted place in the YAML file. */
  yaml: string
  parse: (given: string) => T
  /** Words for the documentation. */
  type: string
  /** Used when nothing is given, as text. */
  default?: string
  /** Words for the documentation where there is no text to use. */
  absent?: string
  list?: true
  /** Its value never appears in a fault. */
  secret?: true
  /** No second name `X_FILE` reads it from a file: it names a file itself, or that name has a row of its own. */
  noFile?: true
  doc: string
}

type Defaulted<T> = Setting<T> & { default: string }
type Range = { from: number; to: number; default: number }

export const count = (env: string, yaml: string, range: Range, doc: string): Defaulted<number> => ({
  env,
  yaml,
  parse: wholeNumber(range.from, range.to),
  type: `${range.from} to ${range.to}`,
  default: String(range.default),
  doc,
})

export const seconds = (env: string, yaml: string, range: Range, doc: string): Defaulted<number> => ({
  ...count(env, yaml, range, doc),
  type: `seconds, ${range.from} to ${range.to}`,
})

export const file = (env: string, yaml: string, absent: string, doc: string): Setting<string> => ({
  env,
  yaml,
  parse: text,
  type: 'path',
  noFile: true,
  absent,
  doc,
})

export const day = 86_400
