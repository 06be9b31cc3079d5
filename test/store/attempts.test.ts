import { expect, test } from 'vitest'
import { countAttempt } from '../../src/store/attempts.ts'
import { describeBothStores } from '../support/database.ts'

describeBothStores('attempts', (open) => {
  test('are counted per door by all replicas, and from zero after a minute', async () => {
    const { knex } = await open()
    const counts = await Promise.all(Array.from({ length: 20 }, () => countAttempt(knex, 'bootstrap')))
    expect(counts.map((count) => count.attempts).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, n) => n + 1),
    )
    for (const { secondsLeft } of counts) {
      expect(secondsLeft).toBeGreaterThan(0)
      expect(secondsLeft).toBeLessThanOrEqual(60)
    }
    expect((await countAttempt(knex, 'login')).attempts).toBe(1)

    await knex('tries')
      .where({ door: 'bootstrap' })
      .update({ since: knex.raw(`since - interval '61 seconds'`) })
    expect((await countAttempt(knex, 'bootstrap')).attempts).toBe(1)
    expect((await countAttempt(knex, 'bootstrap')).attempts).toBe(2)
    const [row]: { n: string }[] = await knex('tries').count({ n: '*' })
    expect(row?.n).toBe('2')
  })
})
