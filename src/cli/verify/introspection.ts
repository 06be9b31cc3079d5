/** Checks by introspection (RFC 7662) whether a JWT was revoked. Operators and workloads may call it. */
import { withApi } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import { type WorkloadFlags, withAccessToken } from '../as-workload.ts'
import { findProof, presentsJoinToken } from '../proof-source.ts'
import { CliError, type Io } from '../io.ts'
import { setting } from '../settings.ts'
import type { Checks } from './checks.ts'

type Introspection = Schemas['Introspection']

const check = 'revocation'

export async function judgeRevocation(checks: Checks, token: string, flags: WorkloadFlags, io: Io): Promise<void> {
  if (!checks.sound()) return checks.skipped(check, 'not checked: another check failed')
  try {
    const apiToken = setting(io, 'PURSER_API_TOKEN')
    if (apiToken !== undefined) return judge(checks, await introspect(io, flags, token, apiToken))
    if (!findProof(io, flags.proofFile)) {
      return checks.skipped(check, 'not checked: it needs PURSER_API_TOKEN, or a proof of this workload (--proof-file)')
    }
    // It would use up the join token.
    if (presentsJoinToken(io, flags)) {
      return checks.skipped(check, 'not checked, since it would use up the join token: set PURSER_API_TOKEN')
    }
    judge(checks, await withAccessToken(io, flags, (accessToken) => introspect(io, flags, token, accessToken)))
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    checks.skipped(check, `could not be checked: ${error.message.replaceAll('\n', '; ')}`)
  }
}

const introspect = (io: Io, flags: WorkloadFlags, token: string, by: string): Promise<Introspection> =>
  withApi(io, flags, async (api) => (await api.call('POST', '/api/v1/introspect', { body: { token }, token: by })).body)

function judge(checks: Checks, { active, session, workload }: Introspection): void {
  if (!active) return checks.failed(check, 'Purser reports it as inactive: it was revoked, or its session has ended')
  const origin = [session && `session ${session}`, workload && `of ${workload}`].filter(Boolean).join(' ')
  checks.ok(check, `Purser reports it as active${origin === '' ? '' : `: ${origin}`}`)
}
