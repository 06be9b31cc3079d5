/** The `purser` command: one file per verb, and the list of verbs. */
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { version } from '../version.ts'
import { addAliases } from './aliases.ts'
import { addAttestor } from './attestor.ts'
import { addAudit } from './audit.ts'
import { addBackup } from './backup.ts'
import { addBootstrap } from './bootstrap.ts'
import { addApplyConfiguration } from './configuration/apply-command.ts'
import { addExport } from './configuration/export-command.ts'
import { addPlan } from './configuration/plan-command.ts'
import { addPolicy } from './configuration/policy-command.ts'
import { addSchema } from './configuration/schema-command.ts'
import { addCompletion } from './completion.ts'
import { addContain } from './contain.ts'
import { addContext } from './context.ts'
import { addCredentials } from './credentials.ts'
import { addDatabase } from './database.ts'
import { addDemo } from './demo.ts'
import { addDev } from './dev.ts'
import { addDoctor } from './doctor.ts'
import { addExec } from './exec.ts'
import { addExplain } from './explain.ts'
import { CliError, Ended, type Io, exitCodes } from './io.ts'
import { addJoinToken } from './join-token.ts'
import { addJwt } from './jwt.ts'
import { addKeys } from './keys.ts'
import { addLease } from './lease.ts'
import { addLog } from './log.ts'
import { addLogin, addLogout } from './login.ts'
import { addMigrate } from './migrate.ts'
import { addOperator } from './operator.ts'
import { addRevocation } from './revocation.ts'
import { addRevoke } from './revoke.ts'
import { addRootKey } from './root-key.ts'
import { addSecret } from './secret.ts'
import { addServe } from './serve.ts'
import { addToken } from './token.ts'
import { addVerify } from './verify.ts'
import { addWhoami } from './whoami.ts'
import { addWorkload } from './workload.ts'

const sentence = (text: string): string => text && `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

type Verb = (program: Command, io: Io) => void

const verbs: Record<string, Verb[]> = {
  'Run a server': [addServe, addDev, addDemo, addMigrate, addRootKey, addBootstrap, addBackup, addDoctor],
  'For workloads': [addCredentials, addExec, addJwt, addWhoami, addVerify],
  'For operators': [
    addLogin,
    addLogout,
    addContext,
    addWorkload,
    addAttestor,
    addDatabase,
    addLease,
    addSecret,
    addJoinToken,
    addExplain,
    addRevoke,
    addRevocation,
    addContain,
    addKeys,
    addOperator,
    addToken,
    addLog,
  ],
  'Configuration as code': [addPlan, addApplyConfiguration, addExport, addPolicy, addSchema],
  'For auditors': [addAudit],
  'For your shell': [addCompletion],
}

const epilogue = `
Environment:
  PURSER_ADDR                       the address of the server
  PURSER_CA_FILE, PURSER_CA_SHA256  the roots to trust, or a root's fingerprint (default: the roots of Node.js)
  PURSER_API_TOKEN                  the API token of an operator (default: the session of purser login)

Exit codes: 0 success, 1 failure, 2 invalid command or configuration, 3 refused by the server,
            4 verification failed, 5 the server or its database cannot be reached

Run \`purser <command> --help\` for options and examples.`

export function createProgram(io: Io): Command {
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
  for (const [group, members] of Object.entries(verbs)) {
    program.commandsGroup(`${group}:`)
    for (const add of members) add(program, io)
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
    await createProgram(io).parseAsync(io.argv, { from: 'user' })
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
