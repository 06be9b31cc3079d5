/** The `purser` command: one file a verb, and this list of them. */
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { version } from '../version.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { addServe } from './serve.ts'

const verbs = [addServe]

/** Runs one command line. Answers the exit code; never throws, never ends the process. */
export async function runCli(io: Io): Promise<number> {
  const program = new Command('purser')
    .description('Secrets and workload identity for containers, with a log that proves what was issued')
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
  for (const add of verbs) add(program, io)
  try {
    await program.parseAsync(io.argv, { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    if (error instanceof ConfigError) {
      io.stderr.write(`${error.message}\n`)
      return exitCodes.usage
    }
    if (error instanceof CliError) {
      io.stderr.write(`purser: ${error.message}\n`)
      return error.exitCode
    }
    const words = error instanceof Error ? error.message : 'failed'
    io.stderr.write(`purser: ${words}\n`)
    return exitCodes.failed
  }
}
