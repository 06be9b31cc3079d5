import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

describe.each(frontDoorStores)('a key with certificates of several workloads (%s)', (store) => {
  const clock = createClock()
  let purser: TestPurser
  let lab: Lab

  beforeAll(async () => {
    purser = await startPurser({ store, now: clock.now })
    lab = await createLab(purser, clock)
    for (const name of ['api', 'batch']) {
      await purser.asAdmin('POST', '/api/v1/workloads', {
        name,
        attestor: 'lab',
        match: { 'oidc:sub': name },
        spiffeId: `spiffe://example.org/lab/${name}`,
        grants: { x509: { dnsNames: [], maxLifetimeSeconds: 3600 } },
        maxSessionSeconds: 7200,
      })
    }
  })
  afterAll(() => purser.stop())

  const alerts = async () => {
    await purser.runJobs()
    return (await readLog(purser)).filter((entry) => entry.action === 'key.shared')
  }
  /** The lab's one CSR, for the named workload. */
  const certify = (sub: string) => lab.get({ sub }, { jwts: [], accessToken: undefined })

  it('causes no alert while one workload uses it, in however many certificates', async () => {
    await certify('web')
    await certify('web')
    expect(await alerts()).toEqual([])
  })

  it('causes one alert that names the workloads and their certificates', async () => {
    const [first, second] = [await certify('web'), await certify('api')]
    const [alert, ...more] = await alerts()
    expect(more).toEqual([])
    expect(alert).toMatchObject({
      actor: { kind: 'system' },
      outcome: 'granted',
      resource: { kind: 'public-key', id: expect.stringMatching(/^[0-9a-f]{64}$/) },
      detail: { workloads: ['api', 'web'] },
    })
    const detail = JSON.stringify(alert?.detail)
    for (const { serialNumber, session } of [first, second]) {
      expect(detail).toContain(serialNumber)
      expect(detail).toContain(session)
    }
    expect(purser.logs.join('')).toContain('key.shared')
  })

  it('causes no new alert at each renewal, but one for a further workload', async () => {
    await certify('web')
    expect(await alerts()).toHaveLength(1)
    await certify('batch')
    const all = await alerts()
    expect(all).toHaveLength(2)
    expect(all[1]?.detail).toMatchObject({ workloads: ['api', 'batch', 'web'] })
  })

  it('is searched once: further certificates of one key and workload read none of the earlier ones', async () => {
    await certify('web')
    await purser.runJobs()
    const searches: string[] = []
    const hear = ({ sql }: { sql: string }): void => void (sql.includes('terms @>') && searches.push(sql))
    purser.knex.on('query', hear)
    await certify('web')
    await purser.runJobs()
    purser.knex.off('query', hear)
    expect(searches).toEqual([])
  })

  it('does not count expired certificates', async () => {
    clock.advance(3601)
    await certify('web')
    expect(await alerts()).toHaveLength(2)
  })
})
