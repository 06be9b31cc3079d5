/** `purser keys csr` and `import`: an issuing CA under an existing CA. */
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { Io } from './io.ts'
import { withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, remark, show, table } from './output.ts'
import { readText } from './settings.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

export function addUpstream(group: Command, io: Io): void {
  addCsr(group, io)
  addImport(group, io)
}

function addCsr(group: Command, io: Io): void {
  const command = group
    .command('csr')
    .summary('create an issuing key and print its certificate request for an upstream CA')
    .action(async (flags: Flags) => {
      const { reason } = flags
      const { body } = await withApi(io, flags, (api) => api.call('POST', '/api/v1/keys/ca:csr', { reason }))
      show(io, flags, body, ({ csr }) => csr)
      remark(io, `${body.keyId} signs nothing yet: let your CA sign the request, then run \`purser keys import\``)
    })
  withExamples(withReason(withOutput(withServer(command))), 'purser keys csr > purser.csr')
}

function addImport(group: Command, io: Io): void {
  const command = group
    .command('import')
    .summary('import the certificate that an upstream CA signed')
    .requiredOption('--chain <file>', 'the issuing certificate, then its chain up to the root, PEM')
    .requiredOption('--root <file>', 'the self-signed root of the chain, PEM')
    .action(async (flags: Flags & { chain: string; root: string }) => {
      const body = {
        certificateChain: readText(io, flags.chain, '--chain'),
        trustBundle: readText(io, flags.root, '--root'),
      }
      const { reason } = flags
      const reply = await withApi(io, flags, (api) => api.call('POST', '/api/v1/keys/ca:import', { body, reason }))
      show(io, flags, reply.body, ({ id, kind, state, activeAt = 'now' }) =>
        table([['imported', kind, state, `signs from ${activeAt}`, id]]),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser keys import --chain purser-chain.pem --root company-root.pem',
  )
}
