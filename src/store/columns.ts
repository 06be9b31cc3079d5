/** Rows of tables as Purser's own types: the column `expires_at` is the member `expiresAt`, and null an absent member. */
import type { SealedValue } from './rows.ts'

type ColumnName<S> = S extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${ColumnName<Rest>}`
  : S

/** The columns of a table whose rows are read as T. */
export type Columns<T> = {
  [K in keyof T as ColumnName<K>]-?: undefined extends T[K] ? Exclude<T[K], undefined> | null : T[K]
}

const memberNames = new Map<string, string>()

function memberName(column: string): string {
  const cached = memberNames.get(column)
  if (cached !== undefined) return cached
  const name = column.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  memberNames.set(column, name)
  return name
}

const columnName = (member: string): string => member.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Columns that T does not name become members too. */
export const membersOf = <T>(row: Columns<T>): T => membersExcept<T>(row, [])

export function membersExcept<T>(row: Columns<T>, leftOut: readonly string[]): T {
  const entries: unknown[][] = Object.entries(row)
    .filter(([name, value]) => value !== null && !leftOut.includes(name))
    .map(([name, value]) => [memberName(name), value])
  return Object.fromEntries(entries)
}

/** Lists and objects are stored as JSON. */
export function columnsOf(row: object): Record<string, unknown> {
  const isJson = (value: unknown): boolean =>
    typeof value === 'object' && value !== null && !(value instanceof Date) && !Buffer.isBuffer(value)
  const entries = Object.entries(row).map(([name, value]: [string, unknown]): [string, unknown] => [
    columnName(name),
    isJson(value) ? JSON.stringify(value) : value,
  ])
  return Object.fromEntries(entries)
}

type SealedColumns = { [K in keyof SealedValue]?: SealedValue[K] | undefined }

/** The sealed value in three columns of a row; undefined where they are null. */
export const sealedIn = ({ wrappingKeyId, dataKey, ciphertext }: SealedColumns): SealedValue | undefined =>
  wrappingKeyId !== undefined && dataKey && ciphertext ? { wrappingKeyId, dataKey, ciphertext } : undefined
