/** `purser secret list`: the paths that the caller may list. */
import type { Command } from 'commander'
import type { Io } from '../io.ts'
import { withExamples, withOutput } from '../options.ts'
import { type OutputFlags, show, table } from '../output.ts'
import { type CallerFlags, asCaller, withCaller } from './caller.ts'
import { minute, stateOf } from './history.ts'

export function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list secrets, without values')
    .argument('[prefix]', 'only paths with this prefix', '')
    .action(async (prefix: string, flags: CallerFlags & OutputFlags) => {
      const items = await asCaller(io, flags, (api, token) =>
        api.all('/api/v1/secrets', { query: { prefix: prefix === '' ? undefined : prefix }, token }),
      )
      show(io, flags, { items }, () =>
        table(
          items.map((item) => [
            item.path,
            String(item.version),
            stateOf({ ...item, current: true }),
            minute(item.updatedAt),
          ]),
          ['PATH', 'VERSION', 'STATE', 'CHANGED'],
        ),
      )
    })
  withExamples(withOutput(withCaller(command)), 'purser secret list prod/', 'purser secret list --as-workload -o json')
}
