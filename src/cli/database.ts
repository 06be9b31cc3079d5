/** `purser database`: the databases in which Purser creates roles for workloads. */
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
  const group = program.command('database').summary('configure databases in which workloads get their own roles')
  addWrite(group, io, 'create')
  addWrite(group, io, 'replace')
  addApply(group, io, { ...registered, defaults: {} })
  addList(group, io)
  addGet(group, io, registered, {
    summary: 'show one database, without its credential',
    example: 'purser database get orders',
  })
  addCheck(group, io, registered, {
    summary: 'test a database: connect, and check that roles can be created',
    example: 'purser database check orders',
    wrong: (name) => `no roles can be created in ${name}: fix what failed above`,
  })
  addRotate(group, io)
  addDelete(group, io, registered, {
    summary: 'delete a database that no workload entry grants',
    example: 'purser database delete orders',
  })
}

/** The password is never an argument: other users see arguments, and shells keep them in their history. */
function addWrite(group: Command, io: Io, verb: 'create' | 'replace'): void {
  const command = group
    .command(verb)
    .summary(
      verb === 'create' ? 'configure a database' : 'replace a definition; without --password-file the password stays',
    )
    .argument('<name>')
    .requiredOption('-f, --file <file>', 'the definition, YAML or JSON; - for stdin')
    .option('--password-file <file>', "file with the administrator's password; - for stdin")
  if (verb === 'replace') command.option('--revision <n>', 'only if this is still the current revision', positive)
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
  if (passwordFile === '-' && file === '-')
    throw new CliError('--file and --password-file cannot both be stdin', exitCodes.usage)
  const content = passwordFile === '-' ? await text(io.stdin) : readText(io, passwordFile, '--password-file')
  return content.replace(/\r?\n$/, '')
}

function withPassword(definition: Definition, password: string | undefined): Definition {
  if (password === undefined) return definition
  const { admin } = definition
  return { ...definition, admin: { ...(typeof admin === 'object' ? admin : {}), password } }
}

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list databases')
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
    .summary("replace the administrator's password with one that only Purser knows")
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
