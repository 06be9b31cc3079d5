/** Shared by the verbs of `purser secret`: the path, which is checked before anything is sent, and preconditions. */
import type { Command } from 'commander'
import { NameError } from '../../names/errors.ts'
import { parseSecretPath } from '../../names/secret-path.ts'
import { type Api, type ApiReply, ifFound } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import { CliError, exitCodes, usageError } from '../io.ts'

/**
 * The argument `<path>`, or an optional one. Further arguments are accepted only to be refused without being quoted:
 * they may be a value.
 */
export const withPath = (command: Command, argument = '<path>'): Command =>
  command
    .argument(argument, 'path of the secret, such as prod/db/password', secretPath)
    .argument('[refused...]', '', refuseValue)
    .usage(`[options] ${argument}`)

function refuseValue(): never {
  const why = 'a value cannot be an argument, since other users can see it and the shell keeps it in its history'
  throw usageError(`${why}: pass it on stdin or with --file; see \`purser secret put --help\``)
}

/** @throws CliError for an invalid path, which it does not quote: it may be a value */
function secretPath(path: string): string {
  try {
    return parseSecretPath(path).path
  } catch (error) {
    if (error instanceof NameError) throw usageError(`this is not a valid path of a secret: ${error.detail}`)
    throw error
  }
}

/** The metadata of a secret; undefined if there is none. */
export const findSecret = (api: Pick<Api, 'call'>, path: string): Promise<Schemas['Secret'] | undefined> =>
  ifFound(api.call('GET', '/api/v1/secrets/{path}:metadata', { path: { path } }))

/** Runs a write under a precondition, and explains a failed one. */
export async function underVersion<T>(path: string, version: number, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (!(error instanceof CliError && error.code === 'stale')) throw error
    const problem = version === 0 ? `${path} already exists` : `${path} is no longer at ${version}`
    const remedy = `  what to do: check purser secret history ${path}, then try again; --version N only replaces version N`
    throw new CliError(`${problem}, so nothing was written\n${remedy}`, exitCodes.refused, error.code)
  }
}

/** The reply of a change, with the path and the index of the log entry in its JSON. */
export const withIndex = <T extends object>(path: string, { body, logIndex }: ApiReply<T>) => ({
  body: { path, ...body, logIndex },
  logIndex,
})
