/** Rotation policies: refused ones, and the effects of their terms. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Pods, createPods } from '../support/consumers.ts'
import { type Ask, createAsk, entriesOf, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const clock = createClock()
let purser: TestPurser
let ask: Ask
let pods: Pods
let count = 0

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', now: clock.now })
  ask = createAsk(purser)
  pods = await createPods(purser, clock, ['pod-0', 'pod-1', 'pod-2', 'pod-3'], { consumers: { holdSeconds: 1000 } })
})
afterAll(() => purser.stop())

const generated = { kind: 'generated', fields: { password: { length: 32, alphabet: 'hex' } } }
const fields = (password: object) => ({ rotator: { kind: 'generated', fields: { password } } })

async function newSecret(): Promise<string> {
  const name = `prod/s${count++}`
  await ask('putSecret', { name, body: { data: { password: 'first' } }, ifMatch: 0 })
  return name
}
const set = (name: string, body: object, ifMatch = 0) => ask('putRotationPolicy', { name, body, ifMatch })
async function pass(seconds: number): Promise<void> {
  clock.advance(seconds)
  for (let n = 0; n < 3; n++) {
    await purser.runJobs()
    clock.advance(1)
  }
}
const view = async (name: string) => (await ask('getRotation', { name })).body
const stateOf = async (name: string) => ((await view(name))['rotation'] as { state: string }).state

describe('refused', () => {
  it.each([
    ['no rotator', {}, '400 invalid_request /rotator'],
    ['an unknown kind', { rotator: { kind: 'magic' } }, '400 invalid_request /rotator/kind'],
    ['no fields', { rotator: { kind: 'generated', fields: {} } }, '400 invalid_request /rotator/fields'],
    ['too short', fields({ length: 21, alphabet: 'alphanumeric' }), '422 impossible /rotator/fields/password/length'],
    ['one character', fields({ length: 900, characters: 'aa' }), '422 impossible /rotator/fields/password/characters'],
    ['a cron of six', { rotator: generated, schedule: { cron: '* * * * * *' } }, '422 impossible /schedule/cron'],
    [
      'no such zone',
      { rotator: generated, schedule: { cron: '0 0 * * *', timeZone: 'Mars/X' } },
      '422 impossible /schedule/timeZone',
    ],
    ['another end', { rotator: generated, onDeadline: 'explode' }, '400 invalid_request /onDeadline'],
    ['a deadline before', { rotator: generated, deadlineSeconds: -1 }, '400 invalid_request /deadlineSeconds'],
  ])('%s', async (_, body, expected) => {
    expect(fault(await set(await newSecret(), body))).toBe(expected)
  })

  it('without the revision, with an old one, for a missing secret, and by an auditor', async () => {
    const name = await newSecret()
    expect(fault(await ask('putRotationPolicy', { name, body: { rotator: generated } }))).toBe(
      '428 precondition_required',
    )
    expect((await set(name, { rotator: generated })).status).toBe(201)
    expect(fault(await set(name, { rotator: generated }))).toBe('412 stale')
    expect((await set(name, { rotator: generated }, 1)).body['revision']).toBe(2)
    expect(fault(await set('prod/none', { rotator: generated }))).toBe('404 not_found')
    for (const operation of ['getRotation', 'listConsumers'] as const)
      expect([operation, fault(await ask(operation, { name: 'prod/none' }))]).toEqual([operation, '404 not_found'])
  })

  it('removed: with its revision, not while a rotation runs, and then the secret is written like any other', async () => {
    const name = await newSecret()
    const remove = (ifMatch?: number) =>
      ask('deleteRotationPolicy', { name, reason: 'by hand', ...(ifMatch !== undefined && { ifMatch }) })
    expect(fault(await remove(0))).toBe('404 not_found')
    const url = 'https://rotate.example.org/'
    const rotator = { kind: 'webhook', url, generate: { password: { length: 32, alphabet: 'hex' } } }
    const body = { rotator, schedule: { cron: '0 0 * * *' } }
    await ask('putRotationPolicy', { name, body, ifMatch: 0, reason: 'a service' })
    const put = { name, body: { data: { password: 'by hand' } }, ifMatch: 1 }
    expect(fault(await ask('putSecret', put))).toBe('409 conflict')
    expect(fault(await remove())).toBe('428 precondition_required')
    expect(fault(await remove(2))).toBe('412 stale')
    await ask('rotateSecret', { name, body: {} })
    expect(fault(await remove(1))).toBe('409 conflict')
    await purser.knex('rotation').whereNull('ended_at').update({ state: 'failed', ended_at: new Date() })
    const done = await remove(1)
    expect(done.status).toBe(204)
    const [entry] = await entriesOf(purser, done.headers.get('purser-request-id'))
    expect(entry).toMatchObject({ action: 'secret.rotation', detail: { do: 'remove', policy: 1 } })
    expect(await view(name)).toMatchObject({ revision: 0 })
    expect(await view(name)).not.toHaveProperty('policy')
    expect((await ask('putSecret', put)).status).toBe(200)
    expect((await set(name, { rotator: generated })).status).toBe(201)
  })

  it('for a workload, whatever its grants', async () => {
    const name = await newSecret()
    const pod = await pods.start('pod-0')
    const { body } = await purser.call('POST', '/api/v1/credentials', {
      proof: {
        kind: 'jwt',
        token: await pods.issuer.token({ sub: 'pod-1', iat: clock.seconds(), exp: clock.seconds() + 60 }),
      },
      accessToken: {},
    })
    const { token } = body['accessToken'] as { token: string }
    expect(pod.session).toMatch(/^ses_/)
    for (const [method, suffix] of [
      ['GET', 'rotation'],
      ['POST', 'rotate'],
      ['GET', 'consumers'],
      ['POST', 'rollback'],
    ] as const) {
      const requestBody = method === 'POST' ? { ...(suffix === 'rollback' && { toVersion: 1 }) } : undefined
      const { status } = await purser.call(method, `/api/v1/secrets/${name}:${suffix}`, requestBody, { token })
      expect([suffix, [401, 403].includes(status)]).toEqual([suffix, true])
    }
  })

  it('rotate: with neither policy nor value; twice with one key only once', async () => {
    const name = await newSecret()
    expect(fault(await ask('rotateSecret', { name, body: {} }))).toBe('422 impossible')
    const rotate = () => ask('rotateSecret', { name, body: { data: { password: 'b' } }, idempotencyKey: `k-${name}` })
    const [first, second] = [await rotate(), await rotate()]
    expect([first.status, second.status]).toEqual([202, 202])
    expect(second.headers.get('purser-log-index')).toBe(first.headers.get('purser-log-index'))
    const other = { name, body: { data: { password: 'c' } }, idempotencyKey: `k-${name}` }
    expect(fault(await ask('rotateSecret', other))).toBe('422 idempotency_mismatch')
  })
})

describe('terms', () => {
  const read = async (pod: Awaited<ReturnType<Pods['start']>>, name: string) => pod.fetch(name.slice('prod/'.length))

  it('moved: acknowledged waits for the acknowledgement of the consumer', async () => {
    await ask('putSecret', { name: 'prod/db', body: { data: { password: 'first' } }, ifMatch: 0 })
    await set('prod/db', { rotator: generated, moved: 'acknowledged' })
    const pod = await pods.start('pod-2')
    await pod.fetch()
    await ask('rotateSecret', { name: 'prod/db', body: {} })
    await pass(1)
    await pod.fetch()
    await pass(20)
    expect([(await view('prod/db'))['waitingFor'], await stateOf('prod/db')]).toEqual([1, 'waiting'])
    expect((await pod.ack(1)).status).toBe(204)
    await pass(20)
    expect(await stateOf('prod/db')).toBe('waiting')
    expect((await pod.ack(2)).status).toBe(204)
    await pass(20)
    expect(await stateOf('prod/db')).toBe('retired')
  })

  it('moved: acknowledged ignores sessions that never held an older version', async () => {
    const name = await newSecret()
    await set(name, { rotator: generated, moved: 'acknowledged' })
    const old = await pods.start('pod-0')
    await read(old, name)
    await ask('rotateSecret', { name, body: {} })
    await pass(1)
    const started = await pods.start('pod-1')
    await read(started, name)
    const waitedFor = async () =>
      ((await ask('listConsumers', { name })).body['items'] as { holder: string; waitedFor: boolean }[])
        .filter((consumer) => consumer.waitedFor)
        .map((consumer) => consumer.holder)
    expect(await waitedFor()).toEqual([old.session])
    await read(old, name)
    await pass(20)
    expect([await waitedFor(), await stateOf(name)]).toEqual([[old.session], 'waiting'])
    await old.ack(2, name)
    await pass(20)
    expect(await stateOf(name)).toBe('retired')
  })

  it('holdSeconds of a workload entry counts consumers beyond the end of their session', async () => {
    const name = await newSecret()
    await set(name, { rotator: generated })
    const pod = await pods.start('pod-3')
    expect((await read(pod, name)).status).toBe(200)
    await pod.leave()
    await ask('rotateSecret', { name, body: {} })
    await pass(20)
    expect([(await view(name))['waitingFor'], await stateOf(name)]).toEqual([1, 'waiting'])
    const { body } = await ask('listConsumers', { name })
    expect(body['items']).toMatchObject([{ holder: pod.session, standing: 'held', waitedFor: true }])
    await pass(1000)
    expect(await stateOf(name)).toBe('retired')
  })

  it('an operator who read the value is listed with an address, and does not delay the rotation', async () => {
    const name = await newSecret()
    await purser.asAdmin('GET', `/api/v1/secrets/${name}`, undefined, { 'purser-reason': 'test' })
    await ask('rotateSecret', { name, body: { data: { password: 'b' } } })
    const { body } = await ask('listConsumers', { name })
    expect(body['items']).toMatchObject([
      { holder: 'operator:admin', standing: 'reader', address: '127.0.0.1', version: 1, waitedFor: false },
    ])
    await pass(1)
    expect(await stateOf(name)).toBe('retired')
  })

  it('alert warns once, and continues to wait', async () => {
    const name = await newSecret()
    await set(name, { rotator: generated, deadlineSeconds: 0, onDeadline: 'alert' })
    const pod = await pods.start('pod-0')
    await read(pod, name)
    await ask('rotateSecret', { name, body: {} })
    await pass(1)
    await pass(60)
    await pass(60)
    expect(await stateOf(name)).toBe('waiting')
    const failures = (await readLog(purser)).filter(
      (entry) => entry.resource?.name === name && entry.detail?.['do'] === 'alert',
    )
    expect(failures.map((entry) => entry.detail)).toMatchObject([{ holders: 1, heldBy: [pod.session] }])
  })

  it('a policy goes with its secret, and a schedule that was not changed keeps its time', async () => {
    const name = await newSecret()
    const schedule = { cron: '0 0 1 * *', jitterSeconds: 86_400 }
    const { body: first } = await set(name, { rotator: generated, schedule })
    const { body: second } = await set(name, { rotator: generated, schedule, deadlineSeconds: 60 }, 1)
    expect(second['nextAt']).toBe(first['nextAt'])
    await ask('destroySecret', { name, body: { all: true } })
    await ask('putSecret', { name, body: { data: {} }, ifMatch: 0 })
    expect(await view(name)).toMatchObject({ revision: 0, history: [] })
  })
})

describe('the list of policies', () => {
  it('has each policy with its manager, in pages, and can be filtered by manager', async () => {
    const names: string[] = []
    for (const managedBy of ['git:shop', 'git:other', 'git:shop']) {
      const name = await newSecret()
      names.push(name)
      expect((await set(name, { rotator: generated, managedBy })).body['policy']).toMatchObject({ managedBy })
    }
    const items: { path: string }[] = []
    let cursor: string | undefined
    do {
      const query = { managedBy: 'git:shop', limit: '1', ...(cursor !== undefined && { cursor }) }
      const { body } = await ask('listRotationPolicies', { query })
      items.push(...(body['items'] as { path: string }[]))
      cursor = (body['nextCursor'] as string | null) ?? undefined
    } while (cursor !== undefined)
    const policy = { rotator: generated, managedBy: 'git:shop' }
    expect(items).toEqual(
      names
        .toSpliced(1, 1)
        .toSorted()
        .map((path) => ({ path, revision: 1, policy })),
    )
    const all = (await ask('listRotationPolicies', { query: { limit: '200' } })).body['items'] as { path: string }[]
    expect(all.map(({ path }) => path)).toEqual(all.map(({ path }) => path).toSorted())
    expect(all.map(({ path }) => path)).toEqual(expect.arrayContaining(names))
  })

  it('leaves the manager out of the plan of a rotation', async () => {
    const name = await newSecret()
    await set(name, { rotator: generated, managedBy: 'git:shop' })
    await ask('rotateSecret', { name, body: {} })
    const [row] = await purser.knex('rotation as r').join('secret as s', 's.id', 'r.secret_id').where('s.path', name)
    expect((row as { definition: object }).definition).not.toHaveProperty('managedBy')
  })
})
