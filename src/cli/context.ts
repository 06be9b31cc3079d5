/** `purser context`: the servers that a person has logged in to, and which one is in use. */
import type { Command } from 'commander'
import { readContexts, writeContexts } from './contexts.ts'
import { type Io, usageError } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, minute, remark, show, table } from './output.ts'

export function addContext(program: Command, io: Io): void {
  const group = program.command('context').summary('choose among the servers that you have logged in to')
  addList(group, io)
  const use = group
    .command('use <name>')
    .summary('use another server from now on')
    .action(async (name: string) => {
      const { contexts } = readKnown(io, name)
      await writeContexts(io, { current: name, contexts })
      remark(io, `context ${name}: ${contexts[name]?.addr}`)
    })
  withExamples(use, 'purser context use prod')
  const remove = group
    .command('remove <name>')
    .summary('forget a server, without ending the session there')
    .description('Forgets a server and the session there. `purser logout` ends a session.')
    .action(async (name: string) => {
      const { current, contexts } = readKnown(io, name)
      const { [name]: _, ...rest } = contexts
      await writeContexts(io, { ...(current !== undefined && current !== name && { current }), contexts: rest })
      remark(io, `context ${name} is removed`)
    })
  withExamples(remove, 'purser context remove test')
}

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list the servers')
    .action((flags: OutputFlags) => {
      const { current, contexts } = readContexts(io)
      const items = Object.entries(contexts).map(([name, { token, ...context }]) => ({
        name,
        current: name === current,
        loggedIn: token !== undefined,
        ...context,
      }))
      show(io, flags, { items }, () =>
        table(
          items.map(({ name, current: isCurrent, addr, operator = '-', loggedIn, expiresAt }) => [
            isCurrent ? '*' : '',
            name,
            addr,
            operator,
            loggedIn && expiresAt !== undefined ? minute(expiresAt) : '-',
          ]),
          ['', 'NAME', 'SERVER', 'OPERATOR', 'SESSION UNTIL'],
        ),
      )
    })
  withExamples(withOutput(command), 'purser context list')
}

/** @throws CliError for a name that is not in the file */
function readKnown(io: Io, name: string) {
  const contexts = readContexts(io)
  if (Object.hasOwn(contexts.contexts, name)) return contexts
  throw usageError(`there is no context ${name}: \`purser context list\` shows them`)
}
