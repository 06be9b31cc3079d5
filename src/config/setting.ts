/** A row in the tables of settings, and helpers for common kinds. */
import { text, wholeNumber } from './values.ts'

export type Setting<T> = {
  env: string
  /** Dotted path in the YAML file. */
  yaml: string
  parse: (text: string) => T
  /** For the documentation. */
  type: string
  /** The default, as text. */
  default?: string
  /** For the documentation, if the default is not a plain text. */
  absent?: string
  list?: true
  /** Faults never quote the value. */
  secret?: true
  /** Has no `X_FILE` variant: it names a file itself, or that name is a setting of its own. */
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

/** The text of a setting, and the name that the operator used. */
export type SettingText = { name: string; text: string }
