/** The `purser` command: its help, its verbs and its exit codes. */
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/error.ts'
import { version } from '../version.ts'
import { addAliases } from './aliases.ts'
import { CliError, Ended, type Io, exitCodes } from './io.ts'
import { verbs } from './verbs.ts'

const sentence = (text: string): string => text && `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

const epilogue = `
Environment:
  PURSER_ADDR                       the address of the server
  PURSER_CA_FILE, PURSER_CA_SHA256  the roots to trust, or a root's fingerprint (default: the roots of Node.js)
  PURSER_API_TOKEN                  the API token of an operator (default: the session of purser login)

With any command of an operator:
  --approval <id>                   the approval of this request by a second operator (purser approval --help)

Exit codes: 0 success, 1 failure, 2 invalid command or configuration, 3 refused by the server,
            4 verification failed, 5 the server or its database cannot be reached

Run \`purser <command> --help\` for options and examples.`

/** With the verb that the command line names, since all of them take longer to load than most requests take; or with all. */
export async function createProgram(io: Io): Promise<Command> {
  const program = new Command('purser')
    .description('Secrets and workload identity for containers, with a log that proves what was issued')
    .version(version)
    // A verb may have its own --version: `secret get --version 3`.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .configureHelp({
      helpWidth: Math.min(io.stdout.columns ?? 100, 100),
      // Some verbs accept further arguments only to refuse them.
      visibleArguments: ({ registeredArguments }) =>
        registeredArguments.filter(({ description }) => description !== ''),
      subcommandTerm: (command) => `${command.name()} ${command.usage()}`,
      commandDescription: (command) => command.description() || sentence(command.summary()),
    })
    .addHelpText('after', epilogue)
  const [first = ''] = io.argv
  // `completion` completes the others.
  const isNamed = first !== 'completion' && Object.values(verbs).some((group) => Object.hasOwn(group, first))
  for (const [title, group] of Object.entries(verbs)) {
    program.commandsGroup(`${title}:`)
    for (const [name, load] of Object.entries(group)) {
      if (isNamed && name !== first) continue
      const add = await load()
      add(program, io)
    }
  }
  addAliases(program)
  return program
}

/** Errors of a start that has done nothing yet. They are matched by name, so that a client verb loads no server code. */
const startErrors = new Set(['StartError', 'RootKeyError', 'SchemaTooNew'])

function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode
  if (error instanceof ConfigError || (error instanceof Error && startErrors.has(error.name))) return exitCodes.usage
  if (error instanceof Error && error.name === 'ForkedLog') return exitCodes.unverified
  return exitCodes.failed
}

/** With `--detailed-exitcode`, 2 says that there are changes, so an invalid command ends with 1. */
const usageCode = ({ argv }: Io): number => (argv.includes('--detailed-exitcode') ? exitCodes.failed : exitCodes.usage)

/** Runs one command line and returns the exit code. Never throws and never exits the process. */
export async function runCli(io: Io): Promise<number> {
  try {
    const program = await createProgram(io)
    await program.parseAsync(io.argv, { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof Ended) return error.exitCode
    // Commander has printed its message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : usageCode(io)
    const message = error instanceof Error ? error.message : 'failed'
    io.stderr.write(error instanceof ConfigError ? `${message}\n` : `purser: ${message}\n`)
    const code = exitCodeOf(error)
    return code === exitCodes.usage ? usageCode(io) : code
  }
}
