/** `purser keys`: lists keys and rotates them ahead of schedule. */
import { type Command, Argument, Option } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { addUpstream } from './keys-upstream.ts'
import { withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & Schemas['RotateRequest'] & { reason?: string }

export function addKeys(program: Command, io: Io): void {
  const group = program.command('keys').summary('list keys, rotate them ahead of schedule, and use an upstream CA')
  addList(group, io)
  addRotate(group, io)
  addUpstream(group, io)
}

/** A key without an end has the year 9999. */
const day = (time: string | undefined): string =>
  time === undefined || time.startsWith('9999') ? '-' : time.slice(0, 16).replace('T', ' ')

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list keys that are published or still wrap values; never a private key')
    .action(async (flags: Flags) => {
      const items = await withApi(io, flags, (api) => api.all('/api/v1/keys'))
      show(io, flags, { items }, () =>
        table(
          items.map((key) => [
            key.kind,
            key.state,
            key.algorithm ?? '-',
            day(key.activeAt),
            day(key.retireAt),
            day(key.goneAt),
            key.values === undefined ? '-' : String(key.values),
            key.id,
          ]),
          ['KIND', 'STATE', 'ALGORITHM', 'SIGNS FROM', 'UNTIL', 'REMOVED', 'WRAPS', 'ID'],
        ),
      )
    })
  withExamples(withOutput(withServer(command)), 'purser keys list')
}

function addRotate(group: Command, io: Io): void {
  const command = group
    .command('rotate')
    .summary('create the next key now')
    .description(
      'Publishes the next key, which signs once verifiers have had time to fetch it. With --compromised the current key is withdrawn at once, and what it signed is refused.',
    )
    .addArgument(new Argument('<kind>', 'kind of key').choices(['ca', 'jwt', 'keyring', 'log']))
    .option('--compromised', 'the current key has leaked: withdraw it at once')
    .addOption(new Option('--level <level>', 'level of the CA').choices(['issuing', 'root']))
    .action(async (kind: 'ca' | 'jwt' | 'keyring' | 'log', flags: Flags) => {
      const { compromised, level, reason } = flags
      const body = { ...(compromised && { compromised }), ...(level !== undefined && { level }) }
      const reply = await withApi(io, flags, (api) =>
        api.call('POST', '/api/v1/keys/{kind}:rotate', { path: { kind }, body, reason }),
      )
      show(io, flags, reply.body, ({ created, replaced }) =>
        table([
          ...created.map((key) => ['created', key.kind, key.state, `signs from ${day(key.activeAt)}`, key.id]),
          ...replaced.map((key) => ['replaced', key.kind, key.state, `removed by ${day(key.goneAt)}`, key.id]),
        ]),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser keys rotate jwt',
    'purser keys rotate ca --level issuing --compromised --reason "incident 42"',
  )
}
