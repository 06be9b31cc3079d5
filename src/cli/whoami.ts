/** `purser whoami`: who Purser takes this process for, and by what. */
import type { Choice } from '@purser/sdk'
import type { Command } from 'commander'
import { withApi } from './api.ts'
import type { Schemas } from './api-types.ts'
import { type WorkloadFlags, asWorkload, withWorkload } from './as-workload.ts'
import { presentsJoinToken } from './given-proof.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, pairs, show, table } from './output.ts'
import { setting } from './settings.ts'

type Flags = WorkloadFlags & OutputFlags & { asWorkload?: boolean }

/** Seconds: it is used once, at once. */
const accessTokenSeconds = 60

export function addWhoami(program: Command, io: Io): void {
  const command = program
    .command('whoami')
    .summary('say who this process is to Purser')
    .description(
      'Says who Purser takes this process for, and by what: an operator where PURSER_API_TOKEN is set, else a workload, which attests for it and gets nothing but a token to ask with.',
    )
    .option('--as-workload', 'attest, also where PURSER_API_TOKEN is set')
    .action(async (flags: Flags) => {
      show(io, flags, await ask(flags, io), words)
    })
  withExamples(withOutput(withWorkload(command)), 'purser whoami', 'purser whoami --as-workload --proof-file token.jwt')
}

type Caller = Schemas['Self'] & { by: string; why: string; chosen?: readonly Choice[] }

async function ask(flags: Flags, io: Io): Promise<Caller> {
  const self = (token: string): Promise<Schemas['Self']> =>
    withApi(io, flags, async (api) => (await api.call('GET', '/api/v1/credentials/self', { token })).body)
  const apiToken = setting(io, 'PURSER_API_TOKEN')
  if (apiToken !== undefined && !flags.asWorkload) {
    const file = io.env.PURSER_API_TOKEN ? '' : '_FILE'
    const why = `PURSER_API_TOKEN${file} is set; --as-workload looks at this process's own proof instead`
    return { ...(await self(apiToken)), by: `the token in PURSER_API_TOKEN${file}`, why }
  }
  if (presentsJoinToken(io, flags.proofFile)) {
    const instead = 'purser credentials --out DIR uses it, and says who this is'
    throw new CliError(`a join token is used up by asking, so it was not sent: ${instead}`, exitCodes.usage)
  }
  const wanted = { x509: false, accessToken: { lifetimeSeconds: accessTokenSeconds } }
  return asWorkload(io, flags, wanted, async ({ accessToken, chosen }) => {
    const by = chosen.find(({ about }) => about === 'proof')?.chosen ?? 'its proof'
    const why = apiToken === undefined ? 'PURSER_API_TOKEN is not set' : '--as-workload was given'
    return { ...(await self(accessToken?.token ?? '')), by, why, chosen }
  })
}

function words({ kind, spiffeId, workload, attestor, session, selectors, ...caller }: Caller): string {
  const rows: [string, string | undefined][] =
    kind === 'operator'
      ? [
          ['operator', caller.operator],
          ['role', caller.role],
          ['token', caller.tokenId],
        ]
      : [
          ['workload', spiffeId],
          ['entry', workload && `${workload.name} (${workload.id}), revision ${workload.revision}`],
          ['attestor', attestor],
          ['session', session && `${session.id} until ${session.expiresAt}`],
          ['facts', selectors && pairs(selectors)],
        ]
  rows.push(['known by', caller.by], ['because', caller.why])
  return table(rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}
