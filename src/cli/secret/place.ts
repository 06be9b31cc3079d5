/** What the verbs of `purser secret` share: paths that are checked before anything is sent, and preconditions. */
import type { Command } from 'commander'
import { NameError } from '../../names/errors.ts'
import { parseSecretPath } from '../../names/secret-path.ts'
import { type Api, ifFound } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import { CliError, exitCodes } from '../io.ts'

/** A value belongs into a file or a pipe; what follows the path is taken only to be refused, and is never repeated. */
export const withPath = (command: Command): Command =>
  command
    .argument('<path>', 'such as prod/db/password')
    .argument('[refused...]')
    .usage('[options] <path>')
    .configureHelp({ visibleArguments: (command) => [...command.registeredArguments].slice(0, 1) })

/** @throws CliError for what is no path, without repeating it: somebody may have typed a value there */
export function secretPath(path: string, refused: readonly string[] = []): string {
  if (refused.length > 0) {
    const why = 'values are never arguments: everybody on this machine sees those, and the shell keeps them'
    throw usage(`${why}. Give the value on standard input, or by --file; see \`purser secret put --help\``)
  }
  try {
    return parseSecretPath(path).path
  } catch (error) {
    if (error instanceof NameError) throw usage(`this is no path of a secret: ${error.detail}`)
    throw error
  }
}

export const usage = (words: string): CliError => new CliError(words, exitCodes.usage)

/** The secret as it is now, without its value; nothing where there is none. */
export const findSecret = (api: Pick<Api, 'call'>, path: string): Promise<Schemas['Secret'] | undefined> =>
  ifFound(api.call('GET', '/api/v1/secrets/{path}:metadata', { path: { path: secretPath(path) } }))

/** Runs a write under a precondition; says what a failed one means for a secret. */
export async function underVersion<T>(path: string, version: number, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (!(error instanceof CliError && error.code === 'stale')) throw error
    const expected = version === 0 ? 'is there already' : `is not at ${version} any more`
    const words = `${path} ${expected}: somebody wrote it meanwhile, and nothing was changed here`
    const advice = `  what to do: purser secret history ${path}, then again; --version N writes only over version N`
    throw new CliError(`${words}\n${advice}`, exitCodes.refused, error.code)
  }
}

export const written = (what: string, logIndex: string | undefined): string => `${what}  log ${logIndex}\n`
