/** The list of privileges for `purser doctor` is maintained by hand: it must include every table, and deletes of the sweep. */
import { expect, it } from 'vitest'
import { neededPrivileges } from '../../src/store/privileges.ts'
import { sweptTables } from '../../src/store/sweep.ts'
import { describeBothStores } from '../support/database.ts'

describeBothStores('the privileges of the server’s role', (open) => {
  it('name every table', async () => {
    const { knex } = await open()
    const tables: string[] = await knex('pg_tables').where({ schemaname: 'public' }).pluck('tablename')
    expect(Object.keys(neededPrivileges).toSorted()).toEqual(tables.toSorted())
  })
})

it.each(sweptTables)('let the sweep delete from %s', (table) => {
  expect(neededPrivileges[table]).toContain('delete')
})
