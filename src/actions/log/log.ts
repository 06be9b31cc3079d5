import type { Database } from '../../store/database.ts'
import type { EpochParts } from './epoch-view.ts'
import { exportLog } from './export.ts'
import { openLog } from './open.ts'
import { proveGrowth, readEntry } from './read.ts'
import { type RedactParts, redactLog } from './redact.ts'
import { searchLog } from './search.ts'
import { publicView, readTile } from './tile.ts'

export type LogActionParts = EpochParts & RedactParts & { db: Pick<Database, 'knex' | 'kind'> }
export const createLogActions = (parts: LogActionParts) => ({
  search: searchLog(parts),
  readEntry: readEntry(parts),
  proveGrowth: proveGrowth(parts),
  export: exportLog(parts),
  redact: redactLog(parts),
  open: openLog,
  checkpoint: async (epoch: number): Promise<string> => (await publicView(parts.epochs, epoch)).note,
  tile: readTile(parts),
})
