/** `purser log`: the log's newest head, and the way on for a database that was put back. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { again, positive, whole, withExamples, withOutput, withServer } from './options.ts'
import { type OutputFlags, remark, show, table } from './output.ts'
import { textOf } from './wire.ts'

type Flags = ServerFlags & OutputFlags

export function addLog(program: Command, io: Io): void {
  const group = program.command('log').summary('the newest head; a new epoch after a rollback')
  addHead(group, io)
  addRedact(group, io)
  addAcceptFailover(group, io)
  addNewEpoch(group, io)
  addOpen(group, io)
}

function addHead(group: Command, io: Io): void {
  const command = group
    .command('head')
    .summary('print the newest signed head, to be kept elsewhere')
    .option('--epoch <number>', 'the last head of an older epoch', positive)
    .action(async (flags: Flags & { epoch?: number }) => {
      await withApi(io, flags, async (api) => {
        const epoch = flags.epoch ?? (await api.call('GET', '/api/v1/server', { token: null })).body.epoch
        const reply = await api.open('/log/{epoch}/checkpoint', { path: { epoch }, token: null })
        io.stdout.write(await textOf(reply))
      })
    })
  withExamples(withServer(command), 'purser log head > head-$(date +%F).note')
}

function addRedact(group: Command, io: Io): void {
  const command = group
    .command('redact')
    .summary('take the text of entries that retention is over for')
    .description(
      'Takes text and nonces; the log verifies as before, and an entry names what was taken, by whom and by which rule. Entries about policy, keys, revocations and redactions stay. Refused for entries younger than the minimum age of the server, and while a credential, lease or version of a secret in the range is live.',
    )
    .requiredOption('--epoch <number>', 'the epoch', positive)
    .requiredOption('--from <index>', 'the first index', whole)
    .requiredOption('--to <index>', 'the index after the last one, at most 5000 above the first', whole)
    .requiredOption('--rule <text>', 'the rule of retention that asks for it')
    .action(
      async ({
        epoch,
        from,
        to,
        rule,
        ...flags
      }: Flags & { epoch: number; from: number; to: number; rule: string }) => {
        const reply = await withApi(io, flags, (api) =>
          api.call('POST', '/api/v1/log:redact', { body: { epoch, from, to, rule } }),
        )
        show(io, flags, reply.body, ({ redacted }) => `took ${redacted} entries  log ${reply.logIndex}\n`)
      },
    )
  withExamples(
    withOutput(withServer(command)),
    'purser log redact --epoch 1 --from 5000 --to 10000 --rule "one year, data protection concept 4.2"',
  )
}

function addOpen(group: Command, io: Io): void {
  const command = group
    .command('open')
    .summary('open issuing after a new epoch, once the review is over')
    .requiredOption('--reason <text>', 'what was reviewed, for the audit log (up to 200 characters)')
    .action(async (flags: Flags & { reason: string }) => {
      const { reason } = flags
      const { logIndex } = await withApi(io, flags, (api) => api.call('POST', '/api/v1/log:open', { reason }))
      show(io, flags, { index: logIndex }, () => `issuing is open  log ${logIndex}\n`)
    })
  withExamples(
    withOutput(withServer(command)),
    'purser log open --reason "incident 42: revocations of the lost hour are made again"',
  )
}

function addAcceptFailover(group: Command, io: Io): void {
  const command = group
    .command('accept-failover')
    .summary('go on after a fail-over of Postgres that lost nothing')
    .description(
      "Runs on the host, with the server's configuration, beside running servers. It compares the log with every known head and records the change of server. Only its operator knows whether the new server received every commit of the old one; where it did not, use new-epoch.",
    )
    .requiredOption('--reason <text>', 'why nothing was lost, for the audit log (up to 200 characters)')
    .option('--known <file>', 'another head of the log that was kept elsewhere', again)
    .action(async ({ reason, known = [], ...flags }: OutputFlags & { reason: string; known?: string[] }) => {
      if (reason.length > 200) throw new CliError('--reason has up to 200 characters', exitCodes.usage)
      const { acceptFailover } = await import('./accept-failover.ts')
      show(io, flags, await acceptFailover(io, { reason, known }), ({ from, to, size, compared }) =>
        table([
          ['server', `${to}, before ${from}`],
          ['log', `${size} entries, which agree with ${compared.length === 0 ? 'no known head' : compared.join(', ')}`],
        ]),
      )
      remark(io, 'running servers issue again within a second')
    })
  withExamples(
    withOutput(command),
    'purser log accept-failover --reason "planned switchover, the old primary was shut down first"',
  )
}

type NewEpochFlags = OutputFlags & { reason: string; known?: string[]; acceptFork?: boolean }

function addNewEpoch(group: Command, io: Io): void {
  const command = group
    .command('new-epoch')
    .summary('go on after a rollback: cut the lost time off')
    .description(
      "Runs on the host, with the server's configuration and root key, while no server runs. A new log, signed by a new key, begins with the heads of the older one. CA and JWT keys are replaced; every session, access token, API token and join token ends. Issuing stays closed until `purser log open`.",
    )
    .requiredOption('--reason <text>', 'why, for the audit log (up to 200 characters)')
    .option('--known <file>', 'another head of the older log that was kept elsewhere', again)
    .option('--accept-fork', 'go on although a known head is signed over other entries; the log names it')
    .action(async ({ reason, known = [], acceptFork = false, ...flags }: NewEpochFlags) => {
      if (reason.length > 200) throw new CliError('--reason has up to 200 characters', exitCodes.usage)
      // Loaded here, so that verbs that only ask load no server.
      const { beginEpoch } = await import('./new-epoch.ts')
      const made = await beginEpoch(io, { reason, known, acceptFork })
      show(io, flags, made, (made) =>
        table([
          ['epoch', `${made.epoch}, after ${made.previous.size} entries of epoch ${made.previous.epoch}`],
          ...(made.previous.closed === undefined ? [] : [['closed', made.previous.closed]]),
          ['lost', made.lost],
          ...made.forks.map((fork) => ['fork', fork]),
          ['log key', made.vkey],
          [
            'ended',
            `${made.ended.sessions} sessions, ${made.ended.accessTokens} access tokens, ${made.ended.joinTokens} join tokens, ${made.ended.apiTokens.length} API tokens`,
          ],
          ['replaced', made.replaced.join(', ')],
          ['bootstrap', `${made.bootstrapTokenFile}, until ${made.bootstrapExpiresAt}`],
        ]),
      )
      remark(io, 'start the servers, review what was revoked and blocked, then: purser log open --reason …')
    })
  withExamples(
    withOutput(command),
    'purser log new-epoch --reason "restored from the backup of 23:00"',
    'purser log new-epoch --reason "restored" --known replica-2/log-head',
  )
}
