/** `purser doctor`: checks a deployment and says how to fix what is wrong. Changes nothing. */
import type { Command } from 'commander'
import { type Io, usageError } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, createStyle, show } from './output.ts'
import { type Finding, requireAttention } from './doctor/finding.ts'

type Flags = OutputFlags & { asWorkload?: boolean; attest: boolean; strict?: boolean }

export function addDoctor(program: Command, io: Io): void {
  const command = program
    .command('doctor')
    .summary('check a deployment, and say how to fix what is wrong')
    .description(
      "Runs on the server's host with its configuration. Checks settings, root key, data directory, listeners, database, role, schema, keys, attestors, clocks, and the log against the heads kept outside the database. It opens the database itself, changes nothing, and needs no running server. With --as-workload it checks a workload's side instead, with the environment of the SDK.",
    )
    .option('--as-workload', "check a workload's side: server address, trust, proof, log key, state directory")
    .option('--no-attest', 'with --as-workload: do not send the proof')
    .option('--strict', 'exit with 1 on warnings, too')
    .action(async (flags: Flags) => {
      const findings = await examine(flags, io)
      const { showFindings, worstFirst } = await import('./doctor/show.ts')
      show(io, flags, { findings: worstFirst(findings) }, () => showFindings(findings, createStyle(io)))
      const bad = findings.filter(({ level }) => level === 'fail' || (flags.strict === true && level === 'warn'))
      requireAttention(bad.length)
    })
  withExamples(
    withOutput(command),
    'purser doctor',
    'purser doctor --output json --strict',
    'kubectl exec deploy/web -- purser doctor --as-workload',
  )
}

async function examine(flags: Flags, io: Io): Promise<Finding[]> {
  // Loaded on demand, so that client verbs load no server code.
  if (flags.asWorkload) return (await import('./doctor/workload.ts')).examineWorkload({ io, attest: flags.attest, now })
  if (!flags.attest) throw usageError('--no-attest needs --as-workload')
  return (await import('./doctor/server.ts')).examineServer({ io, now })
}

const now = (): Date => new Date()
