/** Calls the API as the operator of PURSER_API_TOKEN, or as this workload, which attests first. */
import type { Command } from 'commander'
import { type Api, withApi } from '../api.ts'
import { type WorkloadFlags, asWorkload, withWorkload } from '../as-workload.ts'
import { presentsJoinToken } from '../given-proof.ts'
import type { Io } from '../io.ts'
import { usage } from './place.ts'

export type CallerFlags = WorkloadFlags & { asWorkload?: true }

/** Seconds: the token is used once, immediately. */
const accessTokenSeconds = 60

export const withCaller = (command: Command): Command =>
  withWorkload(command).option('--as-workload', 'act as this workload, within its grants')

/** @param work gets the access token of the workload; undefined for an operator */
export async function asCaller<T>(
  io: Io,
  flags: CallerFlags,
  work: (api: Api, token?: string) => Promise<T>,
): Promise<T> {
  if (!flags.asWorkload) return withApi(io, flags, (api) => work(api))
  if (presentsJoinToken(io, flags.proofFile)) {
    throw usage('the join token was not sent, since that would use it up: set PURSER_API_TOKEN to act as an operator')
  }
  const request = { x509: false, accessToken: { lifetimeSeconds: accessTokenSeconds } }
  return asWorkload(io, flags, request, ({ accessToken }) =>
    withApi(io, flags, (api) => work(api, accessToken?.token ?? '')),
  )
}
