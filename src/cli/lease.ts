/** `purser lease`: the database roles of workloads, until when they live, and how to end them. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }
type Lease = Schemas['Lease']

export function addLease(program: Command, io: Io): void {
  const group = program.command('lease').summary('list and revoke the database roles of workloads')
  addList(group, io)
  addEnd(group, io, {
    verb: 'revoke',
    summary: 'revoke a lease: drop its role and close its connections',
    outcome: ({ id, state, username, database }) => [
      `lease ${id} ${state === 'revoked' ? 'revoked' : 'is being revoked; Purser retries until that succeeds'}`,
      `${username} in ${database}`,
    ],
    reason: 'incident 7',
  })
  addEnd(group, io, {
    verb: 'abandon',
    summary: 'give up a lease whose server is gone for good; its role may still exist',
    outcome: ({ id, username, database }) => [`lease ${id} abandoned`, `${username} in ${database} was not dropped`],
    reason: 'the server was shut down for good',
  })
}

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list open leases and those that ended lately')
    .option('--database <name>', 'only leases on this database')
    .option('--session <id>', 'only leases of this session')
    .option('--state <state>', 'intended, active, revoking, revoked or abandoned')
    .action(async (flags: Flags & { database?: string; session?: string; state?: Lease['state'] }) => {
      const { database, session, state } = flags
      const query = { database, session, state }
      const items = await withApi(io, flags, (api) => api.all('/api/v1/leases', { query }))
      show(io, flags, { items }, () =>
        table(
          items.map((item) => [
            item.id,
            item.database,
            stateOf(item),
            item.spiffeId ?? '',
            item.session ?? '',
            item.expiresAt,
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

/** The state of a lease; with the error when it could not be ended. */
function stateOf({ state, irrevocable, attempts = 0, lastError }: Lease): string {
  if (lastError === undefined) return state
  return `${irrevocable ? 'IRREVOCABLE' : state}, tried ${attempts} times (${lastError})`
}

/** A verb that ends one lease. */
function addEnd(
  group: Command,
  io: Io,
  {
    verb,
    summary,
    outcome,
    reason,
  }: { verb: 'revoke' | 'abandon'; summary: string; outcome: (lease: Lease) => string[]; reason: string },
): void {
  const command = group
    .command(verb)
    .summary(summary)
    .argument('<id>')
    .action(async (id: string, flags: Flags) => {
      const { reason } = flags
      const { body, logIndex } = await withApi(io, flags, (api) =>
        api.call('POST', `/api/v1/leases/{id}:${verb}`, { path: { id }, reason }),
      )
      show(io, flags, body, (lease) => table([[...outcome(lease), `log ${logIndex}`]]))
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    `purser lease ${verb} ls_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "${reason}"`,
  )
}
