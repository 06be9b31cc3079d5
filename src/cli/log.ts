/** `purser log`: the head of the log, redaction, and the steps after a fail-over or a restore. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Io } from './io.ts'
import { repeated, positive, whole, withExamples, withOutput, withRequiredReason, withServer } from './options.ts'
import { type OutputFlags, remark, show, table } from './output.ts'
import { type VerbFlags, addVerb } from './verb.ts'
import { textOf } from './wire.ts'

type RedactFlags = VerbFlags & { epoch: number; from: number; to: number; rule: string }

export function addLog(program: Command, io: Io): void {
  const group = program
    .command('log')
    .summary('print head and key, redact entries, and continue after a fail-over or a restore')
  addHead(group, io)
  addKey(group, io)
  addRedact(group, io)
  addAcceptFailover(group, io)
  addNewEpoch(group, io)
  addOpen(group, io)
}

function addHead(group: Command, io: Io): void {
  const command = group
    .command('head')
    .summary('print the newest signed head, to keep outside the database')
    .option('--epoch <number>', 'the last head of an older epoch', positive)
    .action(async (flags: ServerFlags & { epoch?: number }) => {
      await withApi(io, flags, async (api) => {
        const epoch = flags.epoch ?? (await api.call('GET', '/api/v1/server', { token: null })).body.epoch
        const reply = await api.open('/log/{epoch}/checkpoint', { path: { epoch }, token: null })
        io.stdout.write(await textOf(reply))
      })
    })
  withExamples(withServer(command), 'purser log head > head-$(date +%F).note')
}

function addKey(group: Command, io: Io): void {
  const command = group
    .command('key')
    .summary("print the log's public key, for PURSER_LOG_KEY")
    .description(
      'Prints the key that signs the log now. A verifier that takes it from the server trusts the server: give it to workloads and auditors from a host that you trust.',
    )
    .action((flags: ServerFlags) =>
      withApi(io, flags, async (api) => {
        const { keys } = (await api.call('GET', '/log/keys', { token: null })).body
        const signing = keys.filter(({ to }) => to === undefined)
        io.stdout.write(`${signing.at(-1)?.vkey ?? ''}\n`)
      }),
    )
  withExamples(withServer(command), 'export PURSER_LOG_KEY="$(purser log key)"')
}

function addRedact(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'redact',
    summary: 'remove the text of entries whose retention period is over',
    description:
      'Removes the text and nonces of a range of entries. The log still verifies, and a new entry records the range, the operator and the rule. Entries about policy, keys, revocations and redactions stay. The server refuses entries younger than its minimum age, and a range with a live credential, lease or secret version.',
    options: (command) =>
      command
        .requiredOption('--epoch <number>', 'epoch of the range', positive)
        .requiredOption('--from <index>', 'first index', whole)
        .requiredOption('--to <index>', 'index after the last one, at most 5000 above the first', whole)
        .requiredOption('--rule <text>', 'the retention rule, for the audit log'),
    reason: true,
    examples: ['purser log redact --epoch 1 --from 5000 --to 10000 --rule "one year, data protection concept 4.2"'],
    run: async (api, { epoch, from, to, rule, reason, ...flags }: RedactFlags) => {
      const reply = await api.call('POST', '/api/v1/log:redact', { body: { epoch, from, to, rule }, reason })
      show(io, flags, reply.body, ({ redacted }) => `redacted ${redacted} entries  log ${reply.logIndex}\n`)
    },
  })
}

function addOpen(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'open',
    summary: 'open issuing after a new epoch and its review',
    options: withRequiredReason,
    examples: ['purser log open --reason "incident 42: the revocations of the lost hour were repeated"'],
    run: async (api, { reason, ...flags }) => {
      const { logIndex } = await api.call('POST', '/api/v1/log:open', { reason })
      show(io, flags, { index: logIndex }, () => `issuing is open  log ${logIndex}\n`)
    },
  })
}

function addAcceptFailover(group: Command, io: Io): void {
  const command = group
    .command('accept-failover')
    .summary('accept a fail-over of Postgres that lost nothing')
    .description(
      "Runs on the server's host with its configuration, while servers run. Compares the log with every known head, and records the change of the database server. Use it only if the new database server received every commit of the old one; otherwise use new-epoch.",
    )
    .option('--known <file>', 'file with another signed head of the log; may be repeated', repeated)
    .action(async ({ reason, known = [], ...flags }: OutputFlags & { reason: string; known?: string[] }) => {
      const { acceptFailover } = await import('./accept-failover.ts')
      show(io, flags, await acceptFailover(io, { reason, known }), ({ from, to, size, compared }) =>
        table([
          ['server', `${to}, before ${from}`],
          [
            'log',
            `${size} entries, compared with ${compared.length === 0 ? 'no head: none is known' : compared.join(', ')}`,
          ],
        ]),
      )
      remark(io, 'running servers issue again within a second')
    })
  withExamples(
    withOutput(withRequiredReason(command)),
    'purser log accept-failover --reason "planned switchover, the old primary was shut down first"',
  )
}

type NewEpochFlags = OutputFlags & { reason: string; known?: string[]; acceptFork?: boolean }

function addNewEpoch(group: Command, io: Io): void {
  const command = group
    .command('new-epoch')
    .summary('begin a new log after the database was restored')
    .description(
      "Runs on the server's host with its configuration and root key, while no server runs. Begins a new log with a new key, whose first entry holds the known heads of the old log. Replaces the CA and JWT keys, and ends every session, access token, API token and join token. Issuing stays closed until `purser log open`.",
    )
    .option('--known <file>', 'file with another signed head of the old log; may be repeated', repeated)
    .option('--accept-fork', 'begin the epoch although a known head contradicts the old log; the new log records it')
    .action(async ({ reason, known = [], acceptFork = false, ...flags }: NewEpochFlags) => {
      // Loaded on demand, so that client verbs load no server code.
      const { beginEpoch } = await import('./new-epoch.ts')
      const result = await beginEpoch(io, { reason, known, acceptFork })
      show(io, flags, result, ({ epoch, previous, lost, forks, vkey, ended, replaced, ...rest }) =>
        table([
          ['epoch', `${epoch}, after ${previous.size} entries of epoch ${previous.epoch}`],
          ...(previous.closed === undefined ? [] : [['closed', previous.closed]]),
          ['lost', lost],
          ...forks.map((fork) => ['fork', fork]),
          ['log key', vkey],
          [
            'ended',
            `${ended.sessions} sessions, ${ended.accessTokens} access tokens, ${ended.joinTokens} join tokens, ${ended.apiTokens.length} API tokens`,
          ],
          ['replaced', replaced.join(', ')],
          ['bootstrap', `${rest.bootstrapTokenFile}, until ${rest.bootstrapExpiresAt}`],
        ]),
      )
      remark(io, 'next: start the servers, review workloads and revocations, then run `purser log open --reason …`')
    })
  withExamples(
    withOutput(withRequiredReason(command)),
    'purser log new-epoch --reason "restored from the backup of 23:00"',
    'purser log new-epoch --reason "restored" --known replica-2/log-head',
  )
}
