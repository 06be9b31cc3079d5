/** `purser revoke`: revokes a certificate, a token, a session, or everything issued to a SPIFFE ID. */
import { type Command, Option } from 'commander'
import type { Schemas } from './api-types.ts'
import { type Io, usageError } from './io.ts'
import { pointInTime } from './options.ts'
import { show, table } from './output.ts'
import { type VerbFlags, addVerb } from './verb.ts'

const subjects = ['serialNumber', 'jti', 'session', 'accessToken', 'spiffeId'] as const

type Flags = VerbFlags & { since?: string; because?: Schemas['RevocationReason'] } & {
  [K in (typeof subjects)[number]]?: string
}

const causes = ['keyCompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation', 'privilegeWithdrawn']

export function addRevoke(program: Command, io: Io): void {
  addVerb(program, io, {
    usage: 'revoke',
    summary: 'revoke a certificate, token or session, or everything issued to a SPIFFE ID',
    description:
      'Every replica refuses a revoked credential within a second. Revoking a session or a SPIFFE ID also blocks the instance or the SPIFFE ID from attesting, until `purser revocation release`.',
    options: (command) =>
      command
        .option('--serial-number <hex>', 'a certificate')
        .option('--jti <id>', 'a JWT, by its jti')
        .option('--session <id>', 'a session, ses_…, and everything issued in it')
        .option('--access-token <id>', 'an access token, by its public id')
        .option('--spiffe-id <id>', 'everything issued to this SPIFFE ID')
        .option(
          '--since <time>',
          'with --spiffe-id: only what was issued since: a time, or a duration before now such as 1h',
          pointInTime,
        )
        .addOption(new Option('--because <cause>', 'reason code for the CRL').choices(causes)),
    reason: true,
    examples: [
      'purser revoke --serial-number 5a3c0de1f2b94786a1b2c3d4e5f60718 --because keyCompromise',
      'purser revoke --spiffe-id spiffe://example.org/prod-eu/ns/prod/sa/web --since 1h --reason "incident 42"',
    ],
    run: async (api, flags: Flags) => {
      const chosenSubjects = subjects.filter((subject) => flags[subject] !== undefined)
      const [subject] = chosenSubjects
      if (subject === undefined || chosenSubjects.length > 1)
        throw usageError('give exactly one option that says what to revoke; see `purser revoke --help`')
      const body = {
        [subject]: flags[subject],
        ...(flags.since !== undefined && { since: flags.since }),
        ...(flags.because !== undefined && { reason: flags.because }),
      }
      const reply = await api.call('POST', '/api/v1/revocations', { body, reason: flags.reason })
      show(io, flags, reply.body, (revocation) => formatRevocation(revocation, reply.logIndex))
    },
  })
}

const blockWords = { instance: '  the instance', spiffeId: '  the SPIFFE ID' }

function formatRevocation(
  { id, revoked: counts, blocks, leases = [], outOfReach = [] }: Schemas['Revocation'],
  index?: string,
): string {
  const { certificates, jwts, sessions, accessTokens } = counts
  const counted = [
    countOf(certificates, 'certificate'),
    countOf(jwts, 'JWT'),
    countOf(sessions, 'session'),
    countOf(accessTokens, 'access token'),
  ].flat()
  const ending = leases.map((lease) => [`  lease ${lease.id} ends`, `${lease.username} in ${lease.database}`])
  const blocked = blocks ? [[blockWords[blocks], `is blocked until: purser revocation release ${id}`]] : []
  const rows = outOfReach.map(({ jwt, audience, serialNumber, until }) => [
    '  still accepted by verifiers that do not check revocation',
    jwt === undefined ? `certificate ${serialNumber ?? ''}` : `JWT ${jwt} for ${audience ?? 'its audience'}`,
    `until ${until}`,
  ])
  return `revoked ${counted.length === 0 ? 'nothing: nothing of it was valid' : counted.join(', ')}  ${id}  log ${index}\n${table([...blocked, ...ending, ...rows])}`
}

const countOf = (n: number, noun: string): string[] => (n === 0 ? [] : [`${n} ${noun}${n === 1 ? '' : 's'}`])
