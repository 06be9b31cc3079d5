/** The verbs that attestors, databases and workloads share: get, check, delete. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { type ServerFlags, withApi } from './api.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { positive, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

type RegisteredPath = '/api/v1/attestors/{name}' | '/api/v1/databases/{name}' | '/api/v1/workloads/{name}'

/** What the verbs act on: `noun` as outputs name it. */
export type Registered<P extends RegisteredPath = RegisteredPath> = { noun: string; path: P }
type Words = { summary: string; example: string }

export function addGet(group: Command, io: Io, { path }: Registered, { summary, example }: Words): void {
  const command = group
    .command('get')
    .summary(summary)
    .argument('<name>')
    .action(async (name: string, flags: Flags) => {
      const { body } = await withApi(io, flags, (api) => api.call('GET', path, { path: { name } }))
      show(io, flags, body, (value) => stringify(value, { lineWidth: 0 }))
    })
  withExamples(withOutput(withServer(command)), example)
}

/** @param wrong the error message when a check fails */
export function addCheck(
  group: Command,
  io: Io,
  { path }: Registered<Exclude<RegisteredPath, '/api/v1/workloads/{name}'>>,
  { summary, example, wrong }: Words & { wrong: (name: string) => string },
): void {
  const command = group
    .command('check')
    .summary(summary)
    .argument('<name>')
    .action(async (name: string, flags: Flags) => {
      const { body } = await withApi(io, flags, (api) => api.call('POST', `${path}:check`, { path: { name } }))
      show(io, flags, body, ({ checks }) =>
        table(checks.map(({ ok, what, detail = '' }) => [ok ? 'ok' : 'FAIL', what, detail])),
      )
      if (!body.ok) throw new CliError(wrong(name), exitCodes.failed)
    })
  withExamples(withOutput(withServer(command)), example)
}

export function addDelete(group: Command, io: Io, { noun, path }: Registered, { summary, example }: Words): void {
  const command = group
    .command('delete')
    .summary(summary)
    .argument('<name>')
    .option('--revision <n>', 'only if this is still the current revision', positive)
    .action(async (name: string, flags: Flags & { revision?: number }) => {
      const index = await withApi(io, flags, async (api) => {
        const ifMatch = flags.revision ?? (await api.call('GET', path, { path: { name } })).body.revision
        return (await api.call('DELETE', path, { path: { name }, ifMatch, reason: flags.reason })).logIndex
      })
      show(io, flags, { name, deleted: true, logIndex: index }, () => `${noun} ${name} deleted  log ${String(index)}\n`)
    })
  withExamples(withReason(withOutput(withServer(command))), example)
}
