/** `purser revoke`: one certificate, token or session, or what a SPIFFE ID was given. */
import { type Command, Option } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Schemas } from './api-types.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

const what = ['serialNumber', 'jti', 'session', 'accessToken', 'spiffeId'] as const

type Flags = ServerFlags &
  OutputFlags & { since?: string; because?: Schemas['RevocationReason']; reason?: string } & {
    [K in (typeof what)[number]]?: string
  }

const causes = ['keyCompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation', 'privilegeWithdrawn']

export function addRevoke(program: Command, io: Io): void {
  const command = program
    .command('revoke')
    .summary('stop a certificate, token or session, or all that a workload was given')
    .description(
      'Every replica refuses what is revoked within a second. The instance of a session, or the SPIFFE ID, is refused until `purser revocation release`.',
    )
    .option('--serial-number <hex>', 'a certificate')
    .option('--jti <id>', 'a JWT, by its jti')
    .option('--session <id>', 'a session, ses_…, and everything that it was given')
    .option('--access-token <id>', 'an access token, by its public id')
    .option('--spiffe-id <id>', 'everything that this SPIFFE ID was given')
    .option('--since <time>', 'with --spiffe-id: only from this time on (2026-11-24T22:00:00Z)')
    .addOption(new Option('--because <cause>', 'for the CRL').choices(causes))
    .action(async (flags: Flags) => {
      const named = what.filter((one) => flags[one] !== undefined)
      const [one] = named
      if (one === undefined || named.length > 1)
        throw new CliError('say what to revoke, by one option', exitCodes.usage)
      const body = {
        [one]: flags[one],
        ...(flags.since !== undefined && { since: flags.since }),
        ...(flags.because !== undefined && { reason: flags.because }),
      }
      const { reason } = flags
      const reply = await withApi(io, flags, (api) => api.call('POST', '/api/v1/revocations', { body, reason }))
      show(io, flags, reply.body, (revocation) => revoked(revocation, reply.logIndex))
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser revoke --serial-number 5a3c0de1f2b94786a1b2c3d4e5f60718 --because keyCompromise',
    'purser revoke --spiffe-id spiffe://example.org/prod-eu/ns/prod/sa/web --since 2026-11-24T22:00:00Z --reason "incident 42"',
  )
}

const keptOut = { instance: '  the instance', spiffeId: '  the SPIFFE ID' }

function revoked(
  { id, revoked: counts, blocks, leases = [], outOfReach = [] }: Schemas['Revocation'],
  index?: string,
): string {
  const { certificates, jwts, sessions, accessTokens } = counts
  const counted = [
    counting(certificates, 'certificate'),
    counting(jwts, 'JWT'),
    counting(sessions, 'session'),
    counting(accessTokens, 'access token'),
  ].flat()
  const ending = leases.map((lease) => [`  lease ${lease.id} ends`, `${lease.username} in ${lease.database}`])
  const blocked = blocks ? [[keptOut[blocks], `is refused until: purser revocation release ${id}`]] : []
  const rows = outOfReach.map(({ jwt, audience, serialNumber, until }) => [
    '  still taken by those who never ask',
    jwt === undefined ? `certificate ${serialNumber ?? ''}` : `JWT ${jwt} for ${audience ?? 'its audience'}`,
    `until ${until}`,
  ])
  return `revoked ${counted.length === 0 ? 'nothing that was live' : counted.join(', ')}  ${id}  log ${index}\n${table([...blocked, ...ending, ...rows])}`
}

const counting = (n: number, what: string): string[] => (n === 0 ? [] : [`${n} ${what}${n === 1 ? '' : 's'}`])
