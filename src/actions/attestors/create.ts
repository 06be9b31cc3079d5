import type { Attestors } from '../../attest/attest.ts'
import type { AttestorSpec } from '../../attest/definition.ts'
import { refuse } from '../../errors.ts'
import { newId } from '../../names/id.ts'
import { byName, insertAttestor } from '../../store/registrations.ts'
import type { AttestorRow } from '../../store/rows.ts'
import type { ChangeAction } from '../context.ts'
import { insertUnique, written } from '../registrations.ts'
import { attestorState } from './state.ts'

export type CreateParts = {
  attestors: Pick<Attestors, 'checkDefinition'>
  randomBytes: (size: number) => Buffer
}

export const createAttestor =
  ({ attestors, randomBytes }: CreateParts): ChangeAction<AttestorSpec, AttestorRow> =>
  async (_, tx, snapshot, spec) => {
    if (byName(snapshot.attestors, spec.name)) throw refuse('already_exists')
    const definition = await attestors.checkDefinition(spec, snapshot)
    const row = { ...definition, id: newId('att', randomBytes), revision: 1 }
    await insertUnique(insertAttestor(tx, row))
    const { entry, changed } = written('attestor', row, attestorState(row))
    return { result: row, entry: { action: 'attestor.create', ...entry }, changed }
  }
