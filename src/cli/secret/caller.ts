/** Calls the API as the operator of PURSER_API_TOKEN, or as this workload, which attests first. */
import type { Command } from 'commander'
import { type Api, withApi } from '../api.ts'
import { type WorkloadFlags, withAccessToken, withWorkload } from '../as-workload.ts'
import { presentsJoinToken } from '../proof-source.ts'
import { type Io, usageError } from '../io.ts'

export type CallerFlags = WorkloadFlags & { asWorkload?: true }

export const withCaller = (command: Command): Command =>
  withWorkload(command).option('--as-workload', 'act as this workload, within its grants')

/** @param work gets the access token of the workload; undefined for an operator */
export async function asCaller<T>(
  io: Io,
  flags: CallerFlags,
  work: (api: Api, token?: string) => Promise<T>,
): Promise<T> {
  if (!flags.asWorkload) return withApi(io, flags, (api) => work(api))
  if (presentsJoinToken(io, flags)) {
    throw usageError(
      'the join token was not sent, since that would use it up: set PURSER_API_TOKEN to act as an operator',
    )
  }
  return withAccessToken(io, flags, (token) => withApi(io, flags, (api) => work(api, token)))
}
