/** `purser backup`: after a database was put back, what needs hands. */
import { type Command, InvalidArgumentError } from 'commander'
import { CliError, type Io, exitCodes } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, createStyle, show } from './output.ts'

function time(text: string): Date {
  const at = new Date(text)
  if (!/^\d{4}-\d\d-\d\dT/.test(text) || Number.isNaN(at.getTime())) {
    throw new InvalidArgumentError('It must be a time such as 2026-11-25T22:00:00Z.')
  }
  return at
}

export function addBackup(program: Command, io: Io): void {
  const group = program.command('backup').summary('what needs hands after a database was put back')
  const command = group
    .command('check')
    .summary('look through a database that was put back; changes nothing')
    .description(
      "Runs on the host, with the server's configuration and root key. It opens every live value, tries those that a rotator made where the rotator can, and lists what the lost time may have changed. docs/backup.md has the whole way.",
    )
    .option('--since <time>', 'when the backup was made; the newest entry of the epoch before unless given', time)
    .action(async (flags: OutputFlags & { since?: Date }) => {
      // Loaded here, so that no other verb waits for the code of a server.
      const { checkBackup } = await import('./backup/check.ts')
      const { showFindings, worstFirst } = await import('./doctor/show.ts')
      const { since } = flags
      const findings = await checkBackup(io, { now: new Date(), ...(since && { since }) })
      show(io, flags, { findings: worstFirst(findings) }, () => showFindings(findings, createStyle(io)))
      const bad = findings.filter(({ level }) => level === 'fail')
      if (bad.length > 0) throw new CliError(`${bad.length} of what was found needs hands`, exitCodes.failed)
    })
  withExamples(withOutput(command), 'purser backup check', 'purser backup check --since 2026-11-25T22:00:00Z -o json')
}
