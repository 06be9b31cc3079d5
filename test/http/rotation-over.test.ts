/** Rotations of a secret whose live version was deleted or has expired. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const clock = createClock()
let purser: TestPurser
let ask: Ask
let count = 0

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', now: clock.now })
  ask = createAsk(purser)
})
afterAll(() => purser.stop())

const password = { length: 32, alphabet: 'hex' }
const generated = { kind: 'generated', fields: { password } }

async function secretWith(data: object, policy: object, more: object = {}): Promise<string> {
  const name = `prod/over-${count++}`
  await ask('putSecret', { name, body: { data, ...more }, ifMatch: 0 })
  expect((await ask('putRotationPolicy', { name, body: policy, ifMatch: 0 })).status).toBe(201)
  return name
}

async function pass(seconds: number): Promise<void> {
  clock.advance(seconds)
  for (let n = 0; n < 3; n++) {
    await purser.runJobs()
    clock.advance(1)
  }
}

const rotate = (name: string, body: object = {}) => ask('rotateSecret', { name, body })
const read = (name: string) =>
  purser.call('GET', `/api/v1/secrets/${name}`, undefined, {
    token: purser.admin,
    headers: { 'purser-reason': 'test' },
  })

describe('a live version that was deleted', () => {
  it('passes none of its members on to the next version', async () => {
    const name = await secretWith({ password: 'old', host: 'deleted-with-it' }, { rotator: generated })
    await ask('deleteSecret', { name, ifMatch: 1 })
    const refused = await rotate(name)
    expect(fault(refused)).toBe('422 impossible')
    expect(refused.body['detail']).toContain('undelete')
    await pass(2)
    expect((await read(name)).status).toBe(404)
    // A supplied value copies no members.
    expect((await rotate(name, { data: { password: 'mine', host: 'new' } })).status).toBe(202)
    await pass(2)
    expect((await read(name)).body['data']).toEqual({ password: 'mine', host: 'new' })
  })

  it('is followed by a new one if all members are generated', async () => {
    const name = await secretWith({ password: 'old' }, { rotator: generated })
    await ask('deleteSecret', { name, ifMatch: 1 })
    expect((await rotate(name)).status).toBe(202)
    await pass(2)
    expect((await read(name)).body['data']).toEqual({ password: expect.stringMatching(/^[0-9a-f]{32}$/) })
  })

  it('is not restored by a schedule, which reports it and continues once it is undeleted', async () => {
    const schedule = { cron: '0 * * * *' }
    const name = await secretWith({ password: 'old' }, { rotator: generated, schedule })
    await ask('deleteSecret', { name, ifMatch: 1 })
    await pass(3600)
    expect([(await read(name)).status, (await ask('listSecretVersions', { name })).body['items']]).toMatchObject([
      404,
      [{ version: 1 }],
    ])
    const failures = (await readLog(purser)).filter(
      (entry) => entry.resource?.name === name && entry.outcome === 'failed',
    )
    expect(failures).toMatchObject([{ action: 'secret.rotate', detail: { requestedBy: 'schedule' } }])
    expect(JSON.stringify(failures)).toContain('deleted')
    await ask('undeleteSecret', { name, body: {} })
    await pass(3600)
    expect((await read(name)).body['version']).toBe(2)
  })
})

describe('a live version that has expired', () => {
  it('passes none of its members on to the next version', async () => {
    const expiresAt = new Date(clock.now().getTime() + 60_000).toISOString()
    const name = await secretWith({ password: 'old', host: 'h' }, { rotator: generated }, { expiresAt })
    clock.advance(120)
    expect((await read(name)).status).toBe(404)
    expect(fault(await rotate(name))).toBe('422 impossible')
    expect((await read(name)).status).toBe(404)
  })
})

it('a schedule skips a value that would be too large once, and records it', async () => {
  const fields = { password: { length: 400, alphabet: 'hex' } }
  const schedule = { cron: '0 * * * *' }
  const policy = { rotator: { kind: 'generated', fields }, schedule }
  const name = await secretWith({ password: '', rest: 'x'.repeat(192 * 1024 - 100) }, policy)
  await pass(3600)
  await pass(1)
  const failures = (await readLog(purser)).filter(
    (entry) => entry.resource?.name === name && entry.outcome === 'failed',
  )
  expect(failures).toMatchObject([{ action: 'secret.rotate', detail: { error: expect.stringContaining('too_large') } }])
})
