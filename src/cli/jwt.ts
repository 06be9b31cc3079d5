/** `purser jwt`: prints one JWT for one audience, for scripts. */
import type { Command } from 'commander'
import { type WorkloadFlags, asWorkload, withWorkload } from './as-workload.ts'
import { withBorrowedState } from './borrowed-state.ts'
import { claimsOf } from './credentials/contents.ts'
import { presentsJoinToken } from './proof-source.ts'
import { type Io, usageError } from './io.ts'
import { seconds, withExamples, withOutput } from './options.ts'
import { type OutputFlags, show } from './output.ts'

type Flags = WorkloadFlags & OutputFlags & { lifetime?: number; header?: boolean }

export function addJwt(program: Command, io: Io): void {
  const command = program
    .command('jwt')
    .summary('attest as this workload and print a JWT')
    .description(
      "Presents the orchestrator's token, verifies the reply and its receipt, and prints a JWT-SVID for the audience to stdout.",
    )
    .argument('<audience>', 'audience of the token: the name by which the recipient knows itself')
    .option('--lifetime <duration>', 'lifetime, such as 5m; the server may shorten it', seconds)
    .option('--header', 'print a header, Authorization: Bearer …, for curl -H @-')
    .action(async (audience: string, flags: Flags) => {
      const { lifetime, header } = flags
      if (audience === '') throw usageError('the audience is empty: name the recipient')
      if (header && flags.output !== 'table')
        throw usageError(`--header and --output ${flags.output} exclude each other: give one`)
      const jwts = { jwts: [audience], ...(lifetime !== undefined && { jwtLifetimeSeconds: lifetime }) }
      const request = (env: Io['env'], x509: false | { dnsNames: [] }): Promise<string> =>
        asWorkload({ ...io, env }, flags, { x509, ...jwts }, (purser) => purser.jwt(audience))
      // A join token must be bound to a key, so a key is created, certified, and discarded with its certificate.
      const token = presentsJoinToken(io, flags)
        ? await withBorrowedState(io.env.PURSER_STATE_DIR, (dir) =>
            request({ ...io.env, PURSER_STATE_DIR: dir }, { dnsNames: [] }),
          )
        : await request(io.env, false)
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
