/** The `purser` command: one file a verb, and this list of them. */
import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config.ts'
import { version } from '../version.ts'
import { addAttestor } from './attestor.ts'
import { addAudit } from './audit.ts'
import { addBackup } from './backup.ts'
import { addBootstrap } from './bootstrap.ts'
import { addCredentials } from './credentials.ts'
import { addDatabase } from './database.ts'
import { addDemo } from './demo.ts'
import { addDev } from './dev.ts'
import { addDoctor } from './doctor.ts'
import { addExec } from './exec.ts'
import { addExplain } from './explain.ts'
import { ChildExit, CliError, type Io, exitCodes } from './io.ts'
import { addJoinToken } from './join-token.ts'
import { addJwt } from './jwt.ts'
import { addKeys } from './keys.ts'
import { addLease } from './lease.ts'
import { addLog } from './log.ts'
import { addMigrate } from './migrate.ts'
import { addRevocation } from './revocation.ts'
import { addRevoke } from './revoke.ts'
import { addRootKey } from './root-key.ts'
import { addSecret } from './secret.ts'
import { addServe } from './serve.ts'
import { addToken } from './token.ts'
import { addVerify } from './verify.ts'
import { addWhoami } from './whoami.ts'
import { addWorkload } from './workload.ts'

type Verb = (program: Command, io: Io) => void

const verbs: Record<string, Verb[]> = {
  'Run a server': [addServe, addDev, addDemo, addMigrate, addRootKey, addBootstrap, addBackup, addDoctor],
  'What workloads do': [addCredentials, addExec, addJwt, addWhoami, addVerify],
  'What operators do': [
    addWorkload,
    addAttestor,
    addDatabase,
    addLease,
    addSecret,
    addJoinToken,
    addExplain,
    addRevoke,
    addRevocation,
    addKeys,
    addToken,
    addLog,
  ],
  'What auditors do': [addAudit],
}

const epilogue = `
Exit codes: 0 done, 1 failed, 2 wrong command or configuration, 3 the server refused,
            4 a proof does not verify, 5 the server or its database can't be reached

A server is found by PURSER_ADDR, trusted by PURSER_CA_FILE or PURSER_CA_SHA256 (else the system's
roots), and asked with PURSER_API_TOKEN. \`purser <verb> --help\` shows examples.`

export function createProgram(io: Io): Command {
  const program = new Command('purser')
    .description('Secrets and workload identity for containers, with a log that proves what was issued')
    .version(version)
    // Verbs have options of their own by these names: `secret get --version 3`.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
    .configureHelp({ helpWidth: Math.min(io.stdout.columns ?? 100, 100) })
    .addHelpText('after', epilogue)
  for (const [group, members] of Object.entries(verbs)) {
    program.commandsGroup(`${group}:`)
    for (const add of members) add(program, io)
  }
  return program
}

/** What a start refuses before it has done anything: by name, so that a verb that only asks loads no server. */
const wrongStart = new Set(['StartError', 'RootKeyError', 'SchemaTooNew'])

function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode
  if (error instanceof ConfigError || (error instanceof Error && wrongStart.has(error.name))) return exitCodes.usage
  if (error instanceof Error && error.name === 'ForkedLog') return exitCodes.unverified
  return exitCodes.failed
}

/** Runs one command line. Answers the exit code; never throws, never ends the process. */
export async function runCli(io: Io): Promise<number> {
  try {
    await createProgram(io).parseAsync(io.argv, { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof ChildExit) return error.exitCode
    // Commander has written its own words.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const words = error instanceof Error ? error.message : 'failed'
    io.stderr.write(error instanceof ConfigError ? `${words}\n` : `purser: ${words}\n`)
    return exitCodeOf(error)
  }
}
