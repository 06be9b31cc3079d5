/**
 * `purser backup check` tries the values of a rotator at its target, and so detects a database that is newer than the
 * backup.
 */
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { definitionFor } from '../support/leases.ts'
import { createPlace } from '../support/place.ts'
import type { TestPurser } from '../support/purser.ts'
import { type TargetServer, startTarget } from '../support/target.ts'
import { frontDoorStores } from '../support/stores.ts'

describe.each(frontDoorStores)('a rotated password, with Purser on %s', (store) => {
  let target: TargetServer
  let place: Awaited<ReturnType<typeof createPlace>>
  let purser: TestPurser

  beforeAll(async () => {
    target = await startTarget()
    place = await createPlace(store)
    purser = await place.start()
    for (const text of ['create role orders_owner nologin', 'grant orders_owner to purser_admin with admin option'])
      await target.sql(text)
    await purser.asAdmin('POST', '/api/v1/databases', definitionFor(target))
    const path = '/api/v1/secrets/prod/db'
    await purser.asAdmin('PUT', path, { data: { username: 'nobody', password: 'not-yet' } }, { 'if-match': '"0"' })
    const rotator = {
      kind: 'postgres',
      database: 'orders',
      owner: 'orders_owner',
      roles: ['orders_a', 'orders_b'],
      create: true,
    }
    await purser.asAdmin(
      'PUT',
      `${path}:rotation`,
      { rotator, onDeadline: 'retire', deadlineSeconds: 60 },
      { 'if-match': '"0"' },
    )
    await purser.asAdmin('POST', `${path}:rotate`, {})
    const isLive = async (): Promise<boolean> => {
      await purser.runJobs()
      return Number((await purser.asAdmin('GET', `${path}:metadata`)).body['version']) === 2
    }
    for (let tries = 0; tries < 20 && !(await isLive()); tries++) await setTimeout(200)
    await purser.stop()
  })
  afterAll(async () => {
    await place.remove()
    await target.stop()
  })

  const check = () => cli(['backup', 'check'], { env: place.env() })

  it('logs in to its target', async () => {
    const { out } = await check()
    expect(out).toMatch(/^ok +rotators +1 /m)
  })

  it('belongs to a database that accepts its administrator, and is named otherwise', async () => {
    expect((await check()).out).toMatch(/^ok +databases +1 accept/m)
    await target.sql(`alter role purser_admin password 'replaced-in-the-lost-time'`)
    const { code, out } = await check()
    expect(code).not.toBe(0)
    expect(out).toMatch(/^FAIL +databases +.*orders/m)
    expect(out).not.toContain('replaced-in')
    await target.sql(`alter role purser_admin password '${target.admin.password}'`)
  })

  it('is named once its target has another', async () => {
    await target.sql(`alter role orders_a password 'set-after-the-backup'`)
    const { code, out } = await check()
    expect(code).not.toBe(0)
    expect(out).toMatch(/^FAIL +rotators +.*prod\/db/m)
    expect(out).not.toContain('set-after')
  })
})
