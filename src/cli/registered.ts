/** The verbs that attestors, databases, operators and workloads share: get, check, replace, delete. */
import type { Command } from 'commander'
import { readDefinition } from './documents.ts'
import { CliError, type Io } from './io.ts'
import { positive } from './options.ts'
import { asYaml, remark, show, table } from './output.ts'
import { type VerbFlags, addChange, addVerb } from './verb.ts'

type RegisteredPath =
  '/api/v1/attestors/{name}' | '/api/v1/databases/{name}' | '/api/v1/operators/{name}' | '/api/v1/workloads/{name}'

/** What the verbs act on: `noun` as outputs name it. */
export type Registered<P extends RegisteredPath = RegisteredPath> = { noun: string; path: P }
type Words = { summary: string; examples: readonly string[] }
type RevisionFlags = VerbFlags & { revision?: number }

export function addGet(group: Command, io: Io, { path }: Registered, words: Words): void {
  addVerb(group, io, {
    usage: 'get <name>',
    ...words,
    run: async (api, flags, name) => {
      const { body } = await api.call('GET', path, { path: { name } })
      show(io, flags, body, asYaml)
    },
  })
}

/** @param failure the error message when a check fails */
export function addCheck(
  group: Command,
  io: Io,
  { path }: Registered<'/api/v1/attestors/{name}' | '/api/v1/databases/{name}'>,
  { failure, ...words }: Words & { failure: (name: string) => string },
): void {
  addVerb(group, io, {
    usage: 'check <name>',
    ...words,
    reason: true,
    run: async (api, { reason, ...flags }, name) => {
      const { body } = await api.call('POST', `${path}:check`, { path: { name }, reason })
      show(io, flags, body, ({ checks }) =>
        table(checks.map(({ ok, what, detail = '' }) => [ok ? 'ok' : 'FAIL', what, detail])),
      )
      if (!body.ok) throw new CliError(failure(name))
    },
  })
}

export function addReplace(group: Command, io: Io, { noun, path }: Registered, words: Words): void {
  addVerb(group, io, {
    usage: 'replace <name>',
    ...words,
    options: (command) =>
      command
        .requiredOption('-f, --file <file>', 'the whole definition, YAML or JSON; - for stdin')
        .option('--revision <n>', 'only if this is still the current revision', positive),
    reason: true,
    run: async (api, { file, revision, reason, ...flags }: RevisionFlags & { file: string }, name) => {
      const definition = await readDefinition(io, file, name)
      const ifMatch = revision ?? (await api.call('GET', path, { path: { name } })).body.revision
      const { body, logIndex } = await api.call('PUT', path, { path: { name }, definition, ifMatch, reason })
      const warnings = 'warnings' in body ? (body.warnings ?? []) : []
      for (const { code, detail } of warnings) remark(io, `warning: ${name}: ${code}: ${detail}`)
      show(io, flags, body, (reply) =>
        table([[`${noun} ${name} replaced`, `revision ${reply.revision}`, `log ${logIndex}`]]),
      )
    },
  })
}

export function addDelete(group: Command, io: Io, { noun, path }: Registered, words: Words): void {
  addChange(group, io, {
    usage: 'delete <name>',
    ...words,
    options: (command) => command.option('--revision <n>', 'only if this is still the current revision', positive),
    call: async (api, { revision, reason }: RevisionFlags, name) => {
      const ifMatch = revision ?? (await api.call('GET', path, { path: { name } })).body.revision
      const { logIndex } = await api.call('DELETE', path, { path: { name }, ifMatch, reason })
      return { body: { name, deleted: true, logIndex }, logIndex }
    },
    row: ({ name }) => [`${noun} ${name} deleted`],
  })
}
