/** Workload entries, as operators write them. */
import { refuse } from '../errors.ts'
import { newId } from '../names/id.ts'
import { insertWorkload } from '../store/registrations.ts'
import { isUniqueViolation } from '../store/database.ts'
import type { WorkloadRow } from '../store/rows.ts'
import { json } from './request.ts'
import type { ChangeState } from './route.ts'

export type WorkloadRouteParts = { randomBytes: (size: number) => Buffer }

type WorkloadBody = { name: string; attestor: string } & Record<string, unknown>

export function createWorkloadRoutes({ randomBytes }: WorkloadRouteParts): { create: ChangeState } {
  return {
    async create({ body }, tx, snapshot) {
      const definition = body as WorkloadBody
      const attestor = [...snapshot.attestors.values()].find((row) => row.name === definition.attestor)
      if (!attestor) {
        throw refuse('impossible', { errors: [{ pointer: '/attestor', detail: 'there is no attestor of that name' }] })
      }
      const row: WorkloadRow = {
        id: newId('wl', randomBytes),
        name: definition.name,
        attestorId: attestor.id,
        definition,
        disabled: false,
        revision: 1,
      }
      try {
        await insertWorkload(tx, row)
      } catch (error) {
        if (isUniqueViolation(error)) throw refuse('already_exists')
        throw error
      }
      return {
        reply: json({ id: row.id, revision: 1, disabled: false, ...definition, warnings: [] }, { status: 201 }),
        entry: {
          resource: { kind: 'workload', id: row.id, name: row.name, revision: 1 },
          change: { after: definition },
        },
        changed: [{ table: 'workload', where: { id: row.id } }],
      }
    },
  }
}
