/** `purser backup`: checks a restored database. */
import type { Command } from 'commander'
import { requireAttention } from './doctor/finding.ts'
import type { Io } from './io.ts'
import { pointInTime, withExamples, withOutput } from './options.ts'
import { type OutputFlags, createStyle, show } from './output.ts'

export function addBackup(program: Command, io: Io): void {
  const group = program.command('backup').summary('check a restored database')
  const command = group
    .command('check')
    .summary('check a restored database and list what needs attention; changes nothing')
    .description(
      "Runs on the server's host with its configuration and root key. Decrypts every live value, tries rotated values at their targets where the rotator can, and lists what may have changed after the backup. docs/backup.md describes the whole restore.",
    )
    .option(
      '--since <time>',
      'time of the backup, or a duration before now such as 1h (default: the newest entry of the previous epoch)',
      pointInTime,
    )
    .action(async (flags: OutputFlags & { since?: string }) => {
      // Loaded on demand, so that client verbs load no server code.
      const { checkBackup } = await import('./backup/check.ts')
      const { showFindings, worstFirst } = await import('./doctor/show.ts')
      const { since } = flags
      const findings = await checkBackup(io, {
        now: new Date(),
        ...(since !== undefined && { since: new Date(since) }),
      })
      show(io, flags, { findings: worstFirst(findings) }, () => showFindings(findings, createStyle(io)))
      requireAttention(findings.filter(({ level }) => level === 'fail').length)
    })
  withExamples(withOutput(command), 'purser backup check', 'purser backup check --since 2026-11-25T22:00:00Z -o json')
}
