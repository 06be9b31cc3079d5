import type { Database } from '../../store/database.ts'
import { endOwnSession } from './end.ts'
import { createFindSession } from './find.ts'
import { createIntrospect } from './introspect.ts'
import { self } from './self.ts'

export type SessionActionParts = { db: Pick<Database, 'knex'> }

export function createSessionActions({ db }: SessionActionParts) {
  const find = createFindSession(db)
  return { find, self, end: endOwnSession, introspect: createIntrospect(find) }
}
