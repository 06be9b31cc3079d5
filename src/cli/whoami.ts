/** `purser whoami`: the identity of this process, and the credential that proves it. */
import type { Choice } from '@purser/sdk'
import type { Command } from 'commander'
import { withApi } from './api.ts'
import type { Schemas } from './api-types.ts'
import { currentContext } from './contexts.ts'
import { type WorkloadFlags, withAccessToken, withWorkload } from './as-workload.ts'
import { presentsJoinToken } from './proof-source.ts'
import { type Io, usageError } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, pairs, show, table } from './output.ts'
import { setting } from './settings.ts'

type Flags = WorkloadFlags & OutputFlags & { asWorkload?: boolean }

export function addWhoami(program: Command, io: Io): void {
  const command = program
    .command('whoami')
    .summary('show the identity of this process')
    .description(
      'Shows who this process is to Purser, and which credential says so: an operator if PURSER_API_TOKEN is set or you are logged in, else a workload. A workload attests for this, and gets only a short-lived access token.',
    )
    .option('--as-workload', 'attest as a workload, even if PURSER_API_TOKEN is set')
    .action(async (flags: Flags) => {
      show(io, flags, await identify(flags, io), textOf)
    })
  withExamples(withOutput(withWorkload(command)), 'purser whoami', 'purser whoami --as-workload --proof-file token.jwt')
}

type Caller = Schemas['Self'] & { by: string; why: string; chosen?: readonly Choice[] }

async function identify(flags: Flags, io: Io): Promise<Caller> {
  const self = (token: string): Promise<Schemas['Self']> =>
    withApi(io, flags, async (api) => (await api.call('GET', '/api/v1/credentials/self', { token })).body)
  const apiToken = setting(io, 'PURSER_API_TOKEN')
  if (apiToken !== undefined && !flags.asWorkload && !flags.login) {
    const file = io.env.PURSER_API_TOKEN ? '' : '_FILE'
    const why = `PURSER_API_TOKEN${file} is set; --as-workload attests with this process's own proof instead`
    return { ...(await self(apiToken)), by: `the token in PURSER_API_TOKEN${file}`, why }
  }
  const context = currentContext(io, setting(io, 'PURSER_ADDR', flags.addr))
  if (context?.token !== undefined && apiToken === undefined && !flags.asWorkload && !flags.login) {
    const why = 'PURSER_API_TOKEN is not set'
    return { ...(await self(context.token)), by: `the session of the context ${context.name}`, why }
  }
  if (presentsJoinToken(io, flags)) {
    const remedy = 'purser credentials --out DIR uses it and shows the identity'
    throw usageError(`the join token was not sent, since that would use it up: ${remedy}`)
  }
  return withAccessToken(io, flags, async (token, { chosen }) => {
    const by = chosen.find(({ about }) => about === 'proof')?.chosen ?? 'its proof'
    const flag = flags.login ? '--login' : '--as-workload'
    const why = apiToken === undefined ? 'PURSER_API_TOKEN is not set' : `${flag} was given`
    return { ...(await self(token)), by, why, chosen }
  })
}

/** The role of the token, bounded by that of its operator. */
const roleOf = ({ role, operatorRole }: Pick<Caller, 'role' | 'operatorRole'>): string | undefined =>
  operatorRole === undefined ? role : `${role}, as far as ${operatorRole} allows`

function textOf({ kind, spiffeId, workload, attestor, session, selectors, ...caller }: Caller): string {
  const rows: [string, string | undefined][] =
    kind === 'operator'
      ? [
          ['operator', caller.operator],
          ['role', roleOf(caller)],
          ['routes', caller.routes?.join(', ')],
          [caller.login ? 'session' : 'token', caller.tokenId],
          ['until', caller.expiresAt],
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
