/** Asks as the operator of PURSER_API_TOKEN, or as this workload, which attests for it. */
import type { Command } from 'commander'
import { type Api, withApi } from '../api.ts'
import { type WorkloadFlags, asWorkload, withWorkload } from '../as-workload.ts'
import { presentsJoinToken } from '../given-proof.ts'
import type { Io } from '../io.ts'
import { usage } from './place.ts'

export type CallerFlags = WorkloadFlags & { asWorkload?: true }

/** Seconds: it is used once, at once. */
const accessTokenSeconds = 60

export const withCaller = (command: Command): Command =>
  withWorkload(command).option('--as-workload', "ask as this workload, by the orchestrator's token, within its grants")

/** @param work with the token to ask with; none for an operator's */
export async function asCaller<T>(
  io: Io,
  flags: CallerFlags,
  work: (api: Api, token?: string) => Promise<T>,
): Promise<T> {
  if (!flags.asWorkload) return withApi(io, flags, (api) => work(api))
  if (presentsJoinToken(io, flags.proofFile)) {
    throw usage('a join token is used up by asking, so it was not sent: PURSER_API_TOKEN asks as an operator')
  }
  const wanted = { x509: false, accessToken: { lifetimeSeconds: accessTokenSeconds } }
  return asWorkload(io, flags, wanted, ({ accessToken }) =>
    withApi(io, flags, (api) => work(api, accessToken?.token ?? '')),
  )
}
