import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { keepOpen } from '../../src/store/keep-open.ts'
import { describeBothStores } from '../support/database.ts'

describeBothStores('a transaction that waits', (open) => {
  test('stays open longer than Postgres allows an idle one', async () => {
    const { knex } = await open()
    const done = await knex.transaction(async (tx) => {
      const result = await keepOpen(
        tx,
        pause(2_500).then(() => 'found'),
      )
      const { rows } = await tx.raw<{ rows: { n: number }[] }>('select 1 as n')
      return [result, rows[0]?.n]
    })
    expect(done).toEqual(['found', 1])
  })

  test('throws the error of the work', async () => {
    const { knex } = await open()
    const failing = knex.transaction((tx) => keepOpen(tx, Promise.reject(new Error('no key'))))
    await expect(failing).rejects.toThrow('no key')
  })
})
