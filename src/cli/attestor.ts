/** `purser attestor`: whose word Purser takes for who a workload is. */
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { type ServerFlags, liveRevision, segment, withApi } from './api.ts'
import { addAttestorCreate } from './attestor-create.ts'
import type { AttestorReply } from './from-proof.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { positive, reasonHeader, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }
type Check = { ok: boolean; checks: { what: string; ok: boolean; detail?: string }[] }

const pathOf = (name: string): string => `/api/v1/attestors/${segment(name)}`

export function addAttestor(program: Command, io: Io): void {
  const group = program.command('attestor').summary('configure whose word is taken: clusters, CI, clouds')
  addAttestorCreate(group, io)
  addList(group, io)
  addGet(group, io)
  addCheck(group, io)
  addDelete(group, io)
}

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list the attestors')
    .action(async (flags: Flags) => {
      const items = await withApi(io, flags, (api) => api.all<AttestorReply>('/api/v1/attestors'))
      show(io, flags, { items }, () =>
        table(
          items.map((one) => [
            one.name,
            one.preset ?? one.kind,
            one.issuer ?? '-',
            one.spiffeIdPrefix,
            String(one.revision),
          ]),
          ['NAME', 'KIND', 'ISSUER', 'SPIFFE IDS UNDER', 'REV'],
        ),
      )
    })
  withExamples(withOutput(withServer(command)), 'purser attestor list')
}

function addGet(group: Command, io: Io): void {
  const command = group
    .command('get')
    .summary('show one attestor')
    .argument('<name>')
    .action(async (name: string, flags: Flags) => {
      const { body } = await withApi(io, flags, (api) => api.call<AttestorReply>('GET', pathOf(name)))
      show(io, flags, body, (value) => stringify(value, { lineWidth: 0 }))
    })
  withExamples(withOutput(withServer(command)), 'purser attestor get prod-eu')
}

function addCheck(group: Command, io: Io): void {
  const command = group
    .command('check')
    .summary('reach an attestor, read its keys, and say what is wrong')
    .argument('<name>')
    .action(async (name: string, flags: Flags) => {
      const { body } = await withApi(io, flags, (api) => api.call<Check>('POST', `${pathOf(name)}:check`))
      show(io, flags, body, ({ checks }) =>
        table(checks.map(({ ok, what, detail = '' }) => [ok ? 'ok' : 'WRONG', what, detail])),
      )
      if (!body.ok) throw new CliError(`attestor ${name} can't vouch for anybody as it is`, exitCodes.failed)
    })
  withExamples(withOutput(withServer(command)), 'purser attestor check prod-eu')
}

function addDelete(group: Command, io: Io): void {
  const command = group
    .command('delete')
    .summary('remove an attestor that no workload entry uses')
    .argument('<name>')
    .option('--revision <n>', 'only if it is still at this revision', positive)
    .action(async (name: string, flags: Flags & { revision?: number }) => {
      const index = await withApi(io, flags, async (api) => {
        const revision = flags.revision ?? (await liveRevision(api, pathOf(name)))
        const headers = { 'if-match': `"${revision}"`, ...reasonHeader(flags) }
        return (await api.call('DELETE', pathOf(name), { headers })).headers['purser-log-index']
      })
      show(
        io,
        flags,
        { name, deleted: true, logIndex: index },
        () => `attestor ${name} deleted  log ${String(index)}\n`,
      )
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser attestor delete old-cluster')
}
