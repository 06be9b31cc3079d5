/** `purser lease`: the database roles of workloads, until when they live, and how to end them. */
import type { Command } from 'commander'
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { type VerbFlags, addChange, addList } from './verb.ts'

type Lease = Schemas['Lease']
type Selection = VerbFlags & { database?: string; session?: string; state?: Lease['state'] }

export function addLease(program: Command, io: Io): void {
  const group = program.command('lease').summary('list and revoke the database roles of workloads')
  addList(group, io, {
    summary: 'list open leases and those that ended lately',
    options: (command) =>
      command
        .option('--database <name>', 'only leases on this database')
        .option('--session <id>', 'only leases of this session')
        .option('--state <state>', 'intended, active, revoking, revoked or abandoned'),
    examples: ['purser lease list --database orders --state active', 'purser lease list --state revoking'],
    items: (api, { database, session, state }: Selection) =>
      api.all('/api/v1/leases', { query: { database, session, state } }),
    header: ['LEASE', 'DATABASE', 'STATE', 'SPIFFE ID', 'SESSION', 'EXPIRES'],
    row: (lease) => [
      lease.id,
      lease.database,
      stateOf(lease),
      lease.spiffeId ?? '',
      lease.session ?? '',
      lease.expiresAt,
    ],
  })
  addChange(group, io, {
    usage: 'revoke <id>',
    summary: 'revoke a lease: drop its role and close its connections',
    examples: ['purser lease revoke ls_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "incident 7"'],
    call: (api, { reason }, id) => api.call('POST', '/api/v1/leases/{id}:revoke', { path: { id }, reason }),
    row: ({ id, state, username, database }) => [
      `lease ${id} ${state === 'revoked' ? 'revoked' : 'is being revoked; Purser retries until that succeeds'}`,
      `${username} in ${database}`,
    ],
  })
  addChange(group, io, {
    usage: 'abandon <id>',
    summary: 'give up a lease whose server is gone for good; its role may still exist',
    examples: ['purser lease abandon ls_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "the server was shut down for good"'],
    call: (api, { reason }, id) => api.call('POST', '/api/v1/leases/{id}:abandon', { path: { id }, reason }),
    row: ({ id, username, database }) => [`lease ${id} abandoned`, `${username} in ${database} was not dropped`],
  })
}

/** The state of a lease; with the error when it could not be ended. */
function stateOf({ state, irrevocable, attempts = 0, lastError }: Lease): string {
  if (lastError === undefined) return state
  return `${irrevocable ? 'IRREVOCABLE' : state}, tried ${attempts} times (${lastError})`
}
