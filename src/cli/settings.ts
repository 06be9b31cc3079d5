/** Settings of a client, in this order: the flag, the variable, the file that `<NAME>_FILE` names. */
import { text } from 'node:stream/consumers'
import { type Io, codeOf, usageError } from './io.ts'

export type SettingName = 'PURSER_ADDR' | 'PURSER_CA_FILE' | 'PURSER_CA_SHA256' | 'PURSER_API_TOKEN' | 'PURSER_ATTESTOR'

/** @throws CliError when the setting is set twice, or its file cannot be read */
export function setting(io: Pick<Io, 'env' | 'readFile'>, name: SettingName, flag?: string): string | undefined {
  if (flag !== undefined) return flag
  const value = io.env[name]
  const path = name.endsWith('_FILE') ? undefined : io.env[`${name}_FILE`]
  if (value && path) throw usageError(`${name} and ${name}_FILE are both set: set one, not both`)
  if (value) return value
  return path ? readText(io, path, `${name}_FILE`).trim() : undefined
}

/** The text of a file, or of stdin for `-`. */
export const readInput = async (io: Pick<Io, 'stdin' | 'readFile'>, path: string, what: string): Promise<string> =>
  path === '-' ? text(io.stdin) : readText(io, path, what)

/** @param what names the file in the error message, which never quotes the content */
export function readText(io: Pick<Io, 'readFile'>, path: string, what: string): string {
  try {
    return io.readFile(path)
  } catch (error) {
    const code = codeOf(error)
    throw usageError(`${what}: can't read ${path}${code === undefined ? '' : ` (${code})`}`)
  }
}
