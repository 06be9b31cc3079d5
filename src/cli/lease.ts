/** `purser lease`: which sessions have roles in which databases, until when, and their end. */
import type { Command } from 'commander'
import { type ServerFlags, segment, withApi } from './api.ts'
import type { Io } from './io.ts'
import { reasonHeader, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }
type Lease = {
  id: string
  database: string
  username: string
  state: string
  session?: string
  spiffeId?: string
  expiresAt: string
  attempts?: number
  irrevocable?: boolean
  lastError?: string
}

export function addLease(program: Command, io: Io): void {
  const group = program.command('lease').summary('see and end the roles that workloads have in databases')
  addList(group, io)
  addRevoke(group, io)
  addAbandon(group, io)
}

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list leases, open ones and those that ended lately')
    .option('--database <name>', 'on one database')
    .option('--session <id>', 'of one session')
    .option('--state <state>', 'intended, active, revoking, revoked or abandoned')
    .action(async (flags: Flags & { database?: string; session?: string; state?: string }) => {
      const { database, session, state } = flags
      const query = { database, session, state }
      const items = await withApi(io, flags, (api) => api.all<Lease>('/api/v1/leases', query))
      show(io, flags, { items }, () =>
        table(
          items.map((one) => [
            one.id,
            one.database,
            stateOf(one),
            one.spiffeId ?? '',
            one.session ?? '',
            one.expiresAt,
          ]),
          ['LEASE', 'DATABASE', 'STATE', 'SPIFFE ID', 'SESSION', 'EXPIRES'],
        ),
      )
    })
  withExamples(
    withOutput(withServer(command)),
    'purser lease list --database orders --state active',
    'purser lease list --state revoking',
  )
}

/** What could not be ended yet says why. */
function stateOf({ state, irrevocable, attempts = 0, lastError }: Lease): string {
  if (lastError === undefined) return state
  return `${irrevocable ? 'IRREVOCABLE' : state}, tried ${attempts} times (${lastError})`
}

function addRevoke(group: Command, io: Io): void {
  const command = group
    .command('revoke')
    .summary('end a lease: its role and its connections go')
    .argument('<id>')
    .action(async (id: string, flags: Flags) => {
      const { body, headers } = await withApi(io, flags, (api) =>
        api.call<Lease>('POST', `/api/v1/leases/${segment(id)}:revoke`, { headers: reasonHeader(flags) }),
      )
      show(io, flags, body, (lease) =>
        table([
          [
            `lease ${id} ${lease.state === 'revoked' ? 'revoked' : 'is being revoked, and tried until it is'}`,
            `${lease.username} in ${lease.database}`,
            `log ${String(headers['purser-log-index'])}`,
          ],
        ]),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser lease revoke ls_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "incident 7"',
  )
}

function addAbandon(group: Command, io: Io): void {
  const command = group
    .command('abandon')
    .summary('give up a lease whose server is gone for good: its role may still be there')
    .argument('<id>')
    .action(async (id: string, flags: Flags) => {
      const { body, headers } = await withApi(io, flags, (api) =>
        api.call<Lease>('POST', `/api/v1/leases/${segment(id)}:abandon`, { headers: reasonHeader(flags) }),
      )
      show(io, flags, body, (lease) =>
        table([
          [
            `lease ${id} abandoned`,
            `${lease.username} in ${lease.database} was not taken away`,
            `log ${String(headers['purser-log-index'])}`,
          ],
        ]),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser lease abandon ls_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "the server was shut down for ever"',
  )
}
