import { refuse } from '../errors.ts'
import { newToken } from '../names/token.ts'
import { exchangeBootstrap } from '../operators/bootstrap.ts'
import { json } from './request.ts'
import type { ChangeState } from './route.ts'

export type BootstrapParts = { randomBytes: (size: number) => Buffer }

/** The bootstrap token becomes an admin API token. */
export function createBootstrap({ randomBytes }: BootstrapParts): ChangeState {
  return async ({ caller, time }, tx) => {
    if (caller.kind !== 'bootstrap') throw refuse('unauthenticated')
    const { result: reply, ...change } = await exchangeBootstrap(tx, caller.hash, newToken('api', randomBytes), time)
    return { ...change, result: json(reply) }
  }
}
