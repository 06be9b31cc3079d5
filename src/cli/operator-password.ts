/** `purser operator password` and `recover`: passwords are typed without echo, or piped in; never on the command line. */
import type { Command } from 'commander'
import type { Api, ApiReply } from './api.ts'
import type { Schemas } from './api-types.ts'
import { CliError, type Io, usageError } from './io.ts'
import { withExamples, withReason } from './options.ts'
import { remark, table } from './output.ts'
import { type Prompts, withPrompts } from './prompts.ts'
import { addVerb, type VerbFlags } from './verb.ts'

export function addPassword(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'password',
    summary: 'set the password of an operator, which ends its sessions',
    description:
      'Sets your own password, or as an admin that of another operator. All login sessions of the operator end. Without a terminal, stdin has the new password in its first line, and the present one in its second, if you change your own.',
    options: (command) => command.argument('<name>', 'name of the operator; self for yourself'),
    reason: true,
    examples: ['purser operator password ada --reason "first login"', 'purser operator password self'],
    run: (api, flags, name) => withPrompts(io, (prompts) => setPassword(io, api, prompts, flags, name)),
  })
}

async function setPassword(io: Io, api: Api, prompts: Prompts, flags: VerbFlags, name: string): Promise<void> {
  const password = await prompts.hidden(`new password of ${name}: `)
  if (prompts.isTyped && (await prompts.hidden('again: ')) !== password) {
    throw usageError('the two passwords differ: nothing was changed')
  }
  const call = (more: { currentPassword?: string }): Promise<ApiReply<Schemas['Operator']>> =>
    api.call('POST', '/api/v1/operators/{name}:password', {
      path: { name },
      body: { password, ...more },
      reason: flags.reason,
    })
  const { body, logIndex } = await call({}).catch(async (error: unknown) => {
    if (!needsPresent(error)) throw error
    return call({ currentPassword: await prompts.hidden('present password: ') })
  })
  io.stdout.write(table([[`password of ${body.name} set`, 'sessions ended', `log ${logIndex}`]]))
}

const needsPresent = (error: unknown): boolean =>
  error instanceof CliError && error.code === 'forbidden' && error.message.includes('/currentPassword: is needed')

export function addRecover(group: Command, io: Io): void {
  const command = group
    .command('recover <name>')
    .summary("set a new password on the server's host")
    .description(
      "Sets a random password for an operator that has lost its own, and prints it to stdout. It needs the server's root key and database, not a credential. With the embedded store, stop the server first. The log records it, and all sessions of the operator end.",
    )
    .action(async (name: string, { reason }: VerbFlags) => {
      const { recover } = await import('./operator-recover.ts')
      io.stdout.write(`${await recover(io, name, reason)}\n`)
      remark(io, `a new password of ${name}: log in with it, and change it by \`purser operator password self\``)
    })
  withExamples(withReason(command), 'purser operator recover ada --reason "lost her password" > password')
}
