/** `purser doctor`: what is wrong with a set-up, why it matters, and what to type. Changes nothing. */
import type { Command } from 'commander'
import { CliError, type Io, exitCodes } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, createStyle, show } from './output.ts'
import type { Finding } from './doctor/finding.ts'

type Flags = OutputFlags & { asWorkload?: boolean; attest: boolean; strict?: boolean }

export function addDoctor(program: Command, io: Io): void {
  const command = program
    .command('doctor')
    .summary('say what is wrong with a set-up, why it matters, and what to type')
    .description(
      "Runs on the server's host with its configuration: settings, root key, data directory, listener, database, role, schema, keys, attestors, clocks, and the log against its outside copies. It opens the database itself, changes nothing, and needs no running server. With --as-workload it runs in a workload's place instead, with the environment of the SDK.",
    )
    .option('--as-workload', "look from a workload's place: PURSER_ADDR, trust, proof, log key, state")
    .option('--no-attest', 'with --as-workload: present the proof to nobody')
    .option('--strict', 'warnings end with exit code 1, too')
    .action(async (flags: Flags) => {
      const findings = await examine(flags, io)
      const { showFindings, worstFirst } = await import('./doctor/show.ts')
      show(io, flags, { findings: worstFirst(findings) }, () => showFindings(findings, createStyle(io)))
      const bad = findings.filter(({ level }) => level === 'fail' || (flags.strict === true && level === 'warn'))
      if (bad.length > 0) throw new CliError(`${bad.length} of what was found needs hands`, exitCodes.failed)
    })
  withExamples(
    withOutput(command),
    'purser doctor',
    'purser doctor --output json --strict',
    'kubectl exec deploy/web -- purser doctor --as-workload',
  )
}

async function examine(flags: Flags, io: Io): Promise<Finding[]> {
  // Loaded here, so that no other verb waits for the code of a server.
  if (flags.asWorkload) return (await import('./doctor/workload.ts')).examineWorkload({ io, attest: flags.attest, now })
  if (!flags.attest) throw new CliError('--no-attest goes with --as-workload', exitCodes.usage)
  return (await import('./doctor/server.ts')).examineServer({ io, now })
}

const now = (): Date => new Date()
