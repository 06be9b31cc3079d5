/** `purser database`: the databases in which Purser creates roles for workloads. */
import type { Command } from 'commander'
import { addApply } from './apply.ts'
import { completeDatabase } from './configuration/complete.ts'
import { type Definition, readDefinition } from './documents.ts'
import { type Io, usageError } from './io.ts'
import { positive } from './options.ts'
import { addCheck, addDelete, addGet } from './registered.ts'
import { readInput } from './settings.ts'
import { type VerbFlags, addChange, addList } from './verb.ts'

type Written = VerbFlags & { file: string; passwordFile?: string; revision?: number }
const registered = { noun: 'database', path: '/api/v1/databases/{name}' } as const

export function addDatabase(program: Command, io: Io): void {
  const group = program.command('database').summary('configure databases in which workloads get their own roles')
  addWrite(group, io, 'create')
  addWrite(group, io, 'replace')
  addApply(group, io, { ...registered, complete: completeDatabase })
  addList(group, io, {
    summary: 'list databases',
    examples: ['purser database list'],
    items: (api) => api.all('/api/v1/databases'),
    header: ['NAME', 'DATABASE', 'ADMINISTRATOR', 'REV'],
    row: ({ name, database, host, port, admin, revision }) => [
      name,
      `${database} at ${host}:${port}`,
      admin.username,
      String(revision),
    ],
  })
  addGet(group, io, registered, {
    summary: 'show one database, without its credential',
    examples: ['purser database get orders'],
  })
  addCheck(group, io, registered, {
    summary: 'test a database: connect, and check that roles can be created',
    examples: ['purser database check orders'],
    failure: (name) => `no roles can be created in ${name}: fix what failed above`,
  })
  addChange(group, io, {
    usage: 'rotate-admin <name>',
    summary: "replace the administrator's password with one that only Purser knows",
    examples: ['purser database rotate-admin orders'],
    call: (api, { reason }, name) => api.call('POST', `${registered.path}:rotate-admin`, { path: { name }, reason }),
    row: ({ name, admin, revision }) => [
      `database ${name}: ${admin.username} has a new password`,
      `revision ${revision}`,
    ],
  })
  addDelete(group, io, registered, {
    summary: 'delete a database that no workload entry grants',
    examples: ['purser database delete orders'],
  })
}

/** The password is never an argument: other users see arguments, and shells keep them in their history. */
function addWrite(group: Command, io: Io, verb: 'create' | 'replace'): void {
  addChange(group, io, {
    usage: `${verb} <name>`,
    summary:
      verb === 'create' ? 'configure a database' : 'replace a definition; without --password-file the password stays',
    options: (command) => {
      command
        .requiredOption('-f, --file <file>', 'the definition, YAML or JSON; - for stdin')
        .option('--password-file <file>', "file with the administrator's password; - for stdin")
      return verb === 'create'
        ? command
        : command.option('--revision <n>', 'only if this is still the current revision', positive)
    },
    examples: [`purser database ${verb} orders --file orders.yaml --password-file admin-password`],
    call: async (api, flags: Written, name) => {
      const definition = withPassword(await readDefinition(io, flags.file, name), await passwordOf(io, flags))
      const { reason } = flags
      if (verb === 'create') return api.call('POST', '/api/v1/databases', { definition, reason })
      const place = { path: { name } }
      const ifMatch = flags.revision ?? (await api.call('GET', registered.path, place)).body.revision
      return api.call('PUT', registered.path, { ...place, definition, ifMatch, reason })
    },
    row: ({ name, host, port, database, revision }) => [
      `database ${name} ${verb}d`,
      `${database} at ${host}:${port}`,
      `revision ${revision}`,
    ],
  })
}

async function passwordOf(io: Io, { file, passwordFile }: Written): Promise<string | undefined> {
  if (passwordFile === undefined) return undefined
  if (passwordFile === '-' && file === '-') throw usageError('--file and --password-file cannot both be stdin')
  return (await readInput(io, passwordFile, '--password-file')).replace(/\r?\n$/, '')
}

function withPassword(definition: Definition, password: string | undefined): Definition {
  if (password === undefined) return definition
  const { admin } = definition
  return { ...definition, admin: { ...(typeof admin === 'object' ? admin : {}), password } }
}
