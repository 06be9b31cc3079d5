/** `purser database`: where roles are made for workloads, and with whose credential. */
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { type Api, type ServerFlags, withApi } from './api.ts'
import { addApply } from './apply.ts'
import { type Definition, readDefinition } from './documents.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { positive, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'
import { addCheck, addDelete, addGet } from './registered.ts'
import { readText } from './settings.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }
type Written = Flags & { file: string; passwordFile?: string; revision?: number }
const registered = { noun: 'database', path: '/api/v1/databases/{name}' } as const

export function addDatabase(program: Command, io: Io): void {
  const group = program.command('database').summary('configure databases in which workloads get roles of their own')
  addWrite(group, io, 'create')
  addWrite(group, io, 'replace')
  addApply(group, io, { ...registered, defaults: {} })
  addList(group, io)
  addGet(group, io, registered, {
    summary: 'show one database, without its credential',
    example: 'purser database get orders',
  })
  addCheck(group, io, registered, {
    summary: 'reach a database, and say what would keep roles from being made',
    example: 'purser database check orders',
    wrong: (name) => `no roles can be made in ${name} as it is`,
  })
  addRotate(group, io)
  addDelete(group, io, registered, {
    summary: 'remove a database that no workload entry grants',
    example: 'purser database delete orders',
  })
}

/** The password is never an argument: arguments can be seen by everybody on the machine, and stay in histories. */
function addWrite(group: Command, io: Io, verb: 'create' | 'replace'): void {
  const command = group
    .command(verb)
    .summary(verb === 'create' ? 'configure a database' : 'configure it anew; without a password the one it has stays')
    .argument('<name>')
    .requiredOption('-f, --file <file>', 'the definition, YAML or JSON; - is stdin')
    .option('--password-file <file>', "the administrator's password; - is stdin")
  if (verb === 'replace') command.option('--revision <n>', 'only if it is still at this revision', positive)
  command.action(async (name: string, flags: Written) => {
    const definition = withPassword(await readDefinition(io, flags.file, name), await passwordOf(io, flags))
    const { body, logIndex } = await withApi(io, flags, (api) => write(api, verb, name, definition, flags))
    show(io, flags, body, ({ host, port, database, revision }) =>
      table([
        [`database ${name} ${verb}d`, `${database} at ${host}:${port}`, `revision ${revision}`, `log ${logIndex}`],
      ]),
    )
  })
  withExamples(
    withReason(withOutput(withServer(command))),
    `purser database ${verb} orders --file orders.yaml --password-file admin-password`,
  )
}

async function write(api: Api, verb: 'create' | 'replace', name: string, definition: Definition, flags: Written) {
  const { reason } = flags
  if (verb === 'create') return api.call('POST', '/api/v1/databases', { definition, reason })
  const { path } = registered
  const ifMatch = flags.revision ?? (await api.call('GET', path, { path: { name } })).body.revision
  return api.call('PUT', path, { path: { name }, definition, ifMatch, reason })
}

async function passwordOf(io: Io, { file, passwordFile }: Written): Promise<string | undefined> {
  if (passwordFile === undefined) return undefined
  if (passwordFile === '-' && file === '-') throw new CliError('only one of them can be stdin', exitCodes.usage)
  const given = passwordFile === '-' ? await text(io.stdin) : readText(io, passwordFile, '--password-file')
  return given.replace(/\r?\n$/, '')
}

function withPassword(definition: Definition, password: string | undefined): Definition {
  if (password === undefined) return definition
  const { admin } = definition
  return { ...definition, admin: { ...(typeof admin === 'object' ? admin : {}), password } }
}

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list the databases')
    .action(async (flags: Flags) => {
      const items = await withApi(io, flags, (api) => api.all('/api/v1/databases'))
      show(io, flags, { items }, () =>
        table(
          items.map(({ name, database, host, port, admin, revision }) => [
            name,
            `${database} at ${host}:${port}`,
            admin.username,
            String(revision),
          ]),
          ['NAME', 'DATABASE', 'ADMINISTRATOR', 'REV'],
        ),
      )
    })
  withExamples(withOutput(withServer(command)), 'purser database list')
}

function addRotate(group: Command, io: Io): void {
  const command = group
    .command('rotate-admin')
    .summary("replace the administrator's password by one that nobody else knows")
    .argument('<name>')
    .action(async (name: string, flags: Flags) => {
      const { body, logIndex } = await withApi(io, flags, (api) =>
        api.call('POST', `${registered.path}:rotate-admin`, { path: { name }, reason: flags.reason }),
      )
      show(io, flags, body, ({ admin, revision }) =>
        table([[`database ${name}: ${admin.username} has a new password`, `revision ${revision}`, `log ${logIndex}`]]),
      )
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser database rotate-admin orders')
}
