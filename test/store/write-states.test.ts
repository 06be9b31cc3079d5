/** Writers share the query for the state of their paths. Each gets the state of its own path. */
import { expect, it, onTestFinished } from 'vitest'
import { createReadWriteState } from '../../src/store/write-states.ts'
import { testPostgres } from '../support/database.ts'

it('a writer whose path is read by another query than its own gets its state', async () => {
  const db = await testPostgres()
  onTestFinished(() => db.close())
  await db.knex.raw(
    `insert into secret (id, path, version, revision, max_versions, created_at, updated_at, changed)
     select 'sec_' || path, path, 3, 1, 10, now(), now(), 1 from unnest(array['a', 'b', 'c']) as path`,
  )
  const read = createReadWriteState(db.knex)
  const first = read('a')
  const second = read('b')
  // Begins the next query before the second writer does, and with its path.
  const third = first.then(() => read('c'))
  expect(await Promise.all([first, second, third])).toMatchObject([
    { secret: { path: 'a', version: 3 } },
    { secret: { path: 'b', version: 3 } },
    { secret: { path: 'c', version: 3 } },
  ])
})
