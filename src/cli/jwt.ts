/** `purser jwt`: one token for one audience, for a script that calls somebody. */
import type { Command } from 'commander'
import { type WorkloadFlags, asWorkload, withWorkload } from './as-workload.ts'
import { claimsOf } from './credentials/contents.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { seconds, withExamples, withOutput } from './options.ts'
import { type OutputFlags, show } from './output.ts'

type Flags = WorkloadFlags & OutputFlags & { lifetime?: number; header?: boolean }

export function addJwt(program: Command, io: Io): void {
  const command = program
    .command('jwt')
    .summary('attest as this workload and print one JWT')
    .description(
      "Presents the orchestrator's token, verifies what comes back and its receipt, and prints a JWT-SVID for the audience, alone on stdout.",
    )
    .argument('<audience>', 'whom the token is for, as they call themselves')
    .option('--lifetime <duration>', 'such as 5m; the server shortens what is too long', seconds)
    .option('--header', 'as a header, Authorization: Bearer …, for curl -H @-')
    .action(async (audience: string, flags: Flags) => {
      const { lifetime, header } = flags
      if (audience === '') throw new CliError('an audience is text', exitCodes.usage)
      if (header && flags.output === 'json') throw new CliError('--header and --output json: give one', exitCodes.usage)
      const wanted = {
        x509: false,
        jwts: [audience],
        ...(lifetime !== undefined && { jwtLifetimeSeconds: lifetime }),
      }
      const token = await asWorkload(io, flags, wanted, (purser) => purser.jwt(audience))
      const { jti, exp } = claimsOf(token)
      const value = { token, jti, expiresAt: new Date(Number(exp) * 1000).toISOString() }
      show(io, flags, value, () => `${header ? 'Authorization: Bearer ' : ''}${token}\n`)
    })
  withExamples(
    withOutput(withWorkload(command)),
    'TOKEN="$(purser jwt payments)"',
    'purser jwt payments --header | curl -H @- https://payments.example.org/',
    'purser jwt sts.amazonaws.com --lifetime 5m -o json',
  )
}
