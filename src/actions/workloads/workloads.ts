import type { Database } from '../../store/database.ts'
import { type CreateParts, createWorkload } from './create.ts'
import { deleteWorkload } from './delete.ts'
import { type ExplainParts, createExplainWorkload } from './explain.ts'
import { getWorkload, listWorkloads } from './get.ts'
import { replaceWorkload } from './replace.ts'
import { setDisabled } from './set-disabled.ts'

export type WorkloadActionParts = CreateParts & ExplainParts & { db: Pick<Database, 'knex'> }
export const createWorkloadActions = (parts: WorkloadActionParts) => ({
  list: listWorkloads,
  get: getWorkload(parts),
  create: createWorkload(parts),
  replace: replaceWorkload(parts),
  delete: deleteWorkload,
  disable: setDisabled(true),
  enable: setDisabled(false),
  explain: createExplainWorkload(parts),
})
