import type { Change } from '../../audit/record.ts'
import type { OwnRules } from '../../authorize/entry-rules.ts'
import type { WorkloadDefinition } from '../../authorize/grant.ts'
import { refuse } from '../../errors.ts'
import { newId } from '../../names/id.ts'
import type { Knex } from '../../store/database.ts'
import { byName, insertWorkload } from '../../store/registrations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { insertUnique } from '../registrations.ts'
import { checkDefinition } from './check-definition.ts'
import { type WrittenWorkload, writtenWorkload } from './written.ts'

export type CreateParts = {
  randomBytes: (size: number) => Buffer
  /** Names, audiences and claims that no entry may grant. */
  own: OwnRules
}

export const createWorkload =
  ({ randomBytes, own }: CreateParts) =>
  async (
    context: Pick<Context, 'caller'>,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    definition: WorkloadDefinition,
  ): Promise<Change<WrittenWorkload>> => {
    const { name } = definition
    if (byName(snapshot.workloads, name)) throw refuse('already_exists')
    const { id: attestorId } = checkDefinition(context, definition, snapshot, own)
    const row = { id: newId('wl', randomBytes), name, attestorId, definition, disabled: false, revision: 1 }
    await insertUnique(insertWorkload(tx, row))
    const { entry, ...change } = writtenWorkload(row, snapshot)
    return { ...change, entry: { action: 'workload.create', ...entry } }
  }
