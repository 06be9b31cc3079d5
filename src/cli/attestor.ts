/** `purser attestor`: the issuers whose proofs of identity Purser trusts. */
import type { Command } from 'commander'
import { addApply } from './apply.ts'
import { addAttestorCreate } from './attestor-create.ts'
import { completeAttestor } from './configuration/complete.ts'
import type { Io } from './io.ts'
import { addCheck, addDelete, addGet, addReplace } from './registered.ts'
import { addList } from './verb.ts'

const attestor = { noun: 'attestor', path: '/api/v1/attestors/{name}' } as const

export function addAttestor(program: Command, io: Io): void {
  const group = program
    .command('attestor')
    .summary('configure attestors: the clusters, CI systems and clouds whose proofs Purser trusts')
  addAttestorCreate(group, io)
  addReplace(group, io, attestor, {
    summary: 'replace the definition of an attestor',
    examples: ['purser attestor replace lab --file lab.yaml --reason "new keys"'],
  })
  addApply(group, io, { ...attestor, complete: completeAttestor })
  addList(group, io, {
    summary: 'list the attestors',
    examples: ['purser attestor list'],
    items: (api) => api.all('/api/v1/attestors'),
    header: ['NAME', 'KIND', 'ISSUER', 'SPIFFE IDS UNDER', 'REV'],
    row: (item) => [
      item.name,
      ('preset' in item && item.preset) || item.kind,
      'issuer' in item ? (item.issuer ?? '-') : '-',
      item.spiffeIdPrefix,
      String(item.revision),
    ],
  })
  addGet(group, io, attestor, { summary: 'show one attestor', examples: ['purser attestor get prod-eu'] })
  addCheck(group, io, attestor, {
    summary: 'test an attestor: reach its issuer and read its keys',
    examples: ['purser attestor check prod-eu'],
    failure: (name) => `attestor ${name} cannot verify proofs: fix what failed above`,
  })
  addDelete(group, io, attestor, {
    summary: 'delete an attestor that no workload entry uses',
    examples: ['purser attestor delete old-cluster'],
  })
}
