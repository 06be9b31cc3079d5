/** `purser health`: whether the server of this host answers and is ready, as a health check of a container runs it. */
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import { identifyServer } from './doctor/answering.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, show } from './output.ts'

type Flags = OutputFlags & { live?: true }

export function addHealth(program: Command, io: Io): void {
  const command = program
    .command('health')
    .summary('check whether the server of this host answers and is ready')
    .description(
      'Reads the address from the settings of the server, and asks it for /readyz. For health checks of containers: needs no shell and no curl. `purser doctor` says how to fix what is wrong.',
    )
    .option('--live', 'succeed as soon as the server answers, ready or not')
    .action(({ live, ...flags }: Flags) => checkHealth(io, flags, live === true))
  withExamples(withOutput(command), 'purser health', 'purser health --live')
}

async function checkHealth(io: Io, flags: OutputFlags, live: boolean): Promise<void> {
  const { listen, tls, trustDomain } = readConfig({ env: io.env, readFile: io.readFile })
  const where = `${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${listen.port}`
  if (listen.port === 0) {
    throw new CliError('PURSER_LISTEN has port 0: set the port that health checks ask', exitCodes.usage)
  }
  const answer = await identifyServer(listen, tls.kind !== 'off')
  if (answer?.trustDomain !== trustDomain) {
    throw new CliError(`no Purser of ${trustDomain} answers on ${where}`, exitCodes.unreachable)
  }
  const { version, failing } = answer
  show(io, flags, { version, ready: failing.length === 0, failing }, () =>
    failing.length === 0 ? `Purser ${version} on ${where} is ready\n` : `Purser ${version} on ${where} answers\n`,
  )
  if (failing.length > 0 && !live) throw new CliError(`not ready: ${failing.join(', ')}`, exitCodes.failed)
}
