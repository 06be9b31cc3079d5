/** Settings of a client: a flag, then the environment, then the file that `<NAME>_FILE` names. */
import { CliError, type Io, exitCodes } from './io.ts'

export type SettingName = 'PURSER_ADDR' | 'PURSER_CA_FILE' | 'PURSER_CA_SHA256' | 'PURSER_API_TOKEN'

/** @throws CliError where it is given twice, or its file can't be read */
export function setting(io: Pick<Io, 'env' | 'readFile'>, name: SettingName, flag?: string): string | undefined {
  if (flag !== undefined) return flag
  const given = io.env[name]
  const path = name.endsWith('_FILE') ? undefined : io.env[`${name}_FILE`]
  if (given && path) throw new CliError(`give ${name} or ${name}_FILE, not both`, exitCodes.usage)
  if (given) return given
  return path ? readText(io, path, `${name}_FILE`).trim() : undefined
}

/** @param what names the file in the message, which never quotes what is in it */
export function readText(io: Pick<Io, 'readFile'>, path: string, what: string): string {
  try {
    return io.readFile(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''
    throw new CliError(`${what}: can't read ${path}${code}`, exitCodes.usage)
  }
}
