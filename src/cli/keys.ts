/** `purser keys`: which keys there are, and their rotation out of turn. By themselves they rotate on time. */
import { type Command, Argument, Option } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { addUpstream } from './keys-upstream.ts'
import { withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & Schemas['RotateRequest'] & { reason?: string }

export function addKeys(program: Command, io: Io): void {
  const group = program.command('keys').summary('list keys, and rotate them out of turn')
  addList(group, io)
  addRotate(group, io)
  addUpstream(group, io)
}

/** Keys that never end are written with the last year there is. */
const day = (time: string | undefined): string =>
  time === undefined || time.startsWith('9999') ? '-' : time.slice(0, 16).replace('T', ' ')

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list what is published or still wraps something; never a private key')
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
          ['KIND', 'STATE', 'ALGORITHM', 'SIGNS FROM', 'UNTIL', 'GONE', 'WRAPS', 'ID'],
        ),
      )
    })
  withExamples(withOutput(withServer(command)), 'purser keys list')
}

function addRotate(group: Command, io: Io): void {
  const command = group
    .command('rotate')
    .summary('make the next key now')
    .description(
      'The next key is published before it signs. With --compromised the present one is withdrawn at once, and what it signed is refused.',
    )
    .addArgument(new Argument('<kind>', 'what to rotate').choices(['ca', 'jwt', 'keyring', 'log']))
    .option('--compromised', 'somebody else has the present key: withdraw it at once')
    .addOption(new Option('--level <level>', 'of the CA').choices(['issuing', 'root']))
    .action(async (kind: 'ca' | 'jwt' | 'keyring' | 'log', flags: Flags) => {
      const { compromised, level, reason } = flags
      const body = { ...(compromised && { compromised }), ...(level !== undefined && { level }) }
      const reply = await withApi(io, flags, (api) =>
        api.call('POST', '/api/v1/keys/{kind}:rotate', { path: { kind }, body, reason }),
      )
      show(io, flags, reply.body, ({ created, replaced }) =>
        table([
          ...created.map((key) => ['created', key.kind, key.state, `signs from ${day(key.activeAt)}`, key.id]),
          ...replaced.map((key) => ['replaced', key.kind, key.state, `gone by ${day(key.goneAt)}`, key.id]),
        ]),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser keys rotate jwt',
    'purser keys rotate ca --level issuing --compromised --reason "incident 42"',
  )
}
