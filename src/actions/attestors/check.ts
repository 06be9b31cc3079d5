import type { Attestors } from '../../attest/attest.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { checked, findByName } from '../registrations.ts'
import { isBuiltIn } from './built-in.ts'

const builtInCheck = { ok: true, what: 'join tokens are kept here: there is nothing to reach' }

/** Reaches the attestor's orchestrator. It is no change, since a transaction never waits for a network. */
export const checkAttestor =
  ({ attestors }: { attestors: Pick<Attestors, 'open'> }) =>
  async ({ time }: Pick<Context, 'time'>, snapshot: Snapshot, name: string) => {
    const row = findByName(snapshot.attestors, name)
    return checked('attestor', row, isBuiltIn(row) ? [builtInCheck] : await attestors.open(row).check(time))
  }
