/** Whether a JWT was revoked: Purser's word (RFC 7662), which an operator or any workload may ask for. */
import { withApi } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import { type WorkloadFlags, asWorkload } from '../as-workload.ts'
import { givenProof, presentsJoinToken } from '../given-proof.ts'
import { CliError, type Io } from '../io.ts'
import { setting } from '../settings.ts'
import type { Checks } from './checks.ts'

type Introspection = Schemas['Introspection']

const check = 'revocation'
/** Seconds: it is used once, at once. */
const accessTokenSeconds = 60

export async function judgeRevocation(checks: Checks, token: string, flags: WorkloadFlags, io: Io): Promise<void> {
  if (!checks.sound()) return checks.skipped(check, 'not asked: it is refused already')
  try {
    const apiToken = setting(io, 'PURSER_API_TOKEN')
    if (apiToken !== undefined) return tell(checks, await ask(io, flags, token, apiToken))
    if (!givenProof(io, flags.proofFile)) {
      return checks.skipped(check, 'not asked: that takes PURSER_API_TOKEN, or a proof of this workload (--proof-file)')
    }
    // One of few uses would be gone.
    if (presentsJoinToken(io, flags.proofFile)) {
      return checks.skipped(check, 'not asked: a join token is not spent on it; set PURSER_API_TOKEN')
    }
    const wanted = { x509: false, accessToken: { lifetimeSeconds: accessTokenSeconds } }
    const word = await asWorkload(io, flags, wanted, ({ accessToken }) =>
      ask(io, flags, token, accessToken?.token ?? ''),
    )
    tell(checks, word)
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    checks.skipped(check, `it could not be asked: ${error.message.replaceAll('\n', '; ')}`)
  }
}

const ask = (io: Io, flags: WorkloadFlags, token: string, by: string): Promise<Introspection> =>
  withApi(io, flags, async (api) => (await api.call('POST', '/api/v1/introspect', { body: { token }, token: by })).body)

function tell(checks: Checks, { active, session, workload }: Introspection): void {
  if (!active) return checks.failed(check, 'Purser says that it does not count: revoked, or its session is over')
  const of = [session && `session ${session}`, workload && `of ${workload}`].filter(Boolean).join(' ')
  checks.ok(check, `Purser says that it counts${of === '' ? '' : `: ${of}`}`)
}
