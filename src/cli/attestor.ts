/** `purser attestor`: the issuers whose proofs of identity Purser trusts. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import { addApply } from './apply.ts'
import { addAttestorCreate } from './attestor-create.ts'
import type { Io } from './io.ts'
import { withExamples, withOutput, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'
import { addCheck, addDelete, addGet } from './registered.ts'

type Flags = ServerFlags & OutputFlags

const attestor = { noun: 'attestor', path: '/api/v1/attestors/{name}' } as const

export function addAttestor(program: Command, io: Io): void {
  const group = program
    .command('attestor')
    .summary('configure attestors: the clusters, CI systems and clouds whose proofs Purser trusts')
  addAttestorCreate(group, io)
  addApply(group, io, { ...attestor, defaults: {} })
  addList(group, io)
  addGet(group, io, attestor, { summary: 'show one attestor', example: 'purser attestor get prod-eu' })
  addCheck(group, io, attestor, {
    summary: 'test an attestor: reach its issuer and read its keys',
    example: 'purser attestor check prod-eu',
    wrong: (name) => `attestor ${name} cannot verify proofs: fix what failed above`,
  })
  addDelete(group, io, attestor, {
    summary: 'delete an attestor that no workload entry uses',
    example: 'purser attestor delete old-cluster',
  })
}

function addList(group: Command, io: Io): void {
  const command = group
    .command('list')
    .summary('list the attestors')
    .action(async (flags: Flags) => {
      const items = await withApi(io, flags, (api) => api.all('/api/v1/attestors'))
      show(io, flags, { items }, () =>
        table(
          items.map((item) => [
            item.name,
            ('preset' in item && item.preset) || item.kind,
            'issuer' in item ? (item.issuer ?? '-') : '-',
            item.spiffeIdPrefix,
            String(item.revision),
          ]),
          ['NAME', 'KIND', 'ISSUER', 'SPIFFE IDS UNDER', 'REV'],
        ),
      )
    })
  withExamples(withOutput(withServer(command)), 'purser attestor list')
}
