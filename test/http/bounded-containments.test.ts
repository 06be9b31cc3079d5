/** A team contains a workload of its own to which an admin granted secrets of others. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Pod, type Pods, createPods } from '../support/consumers.ts'
import { type Containment, createContain } from '../support/contain.ts'
import { type Ask, createAsk, entriesOf, entryOf, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { operatorOfShop } from '../support/shop.ts'
import { frontDoorStores } from '../support/stores.ts'

const rotator = { kind: 'generated', fields: { password: { length: 32, alphabet: 'alphanumeric' } } }
const own = 'prod/shop/db'
/** One with a rotation policy, and one without. */
const others = ['prod/payroll/db', 'prod/payroll/license']
const outside = { kind: 'outside', name: 'your bound' }

describe.each(frontDoorStores)('a containment by an operator with a bound (%s)', (store) => {
  const clock = createClock()
  let purser: TestPurser
  let ask: Ask
  let pods: Pods
  let tools: ReturnType<typeof createContain>
  let token: string
  beforeAll(async () => {
    purser = await startPurser({ store, now: clock.now })
    ask = createAsk(purser)
    pods = await createPods(purser, clock, ['pod-1', 'pod-2', 'pod-3'], {
      spiffeId: 'spiffe://example.org/lab/shop/{oidc:sub}',
      grants: { secrets: [{ paths: ['prod/shop/**', 'prod/payroll/**'], actions: ['read'] }] },
    })
    token = (await operatorOfShop(ask, 'shop-ada', 'operator')).token
    tools = createContain(purser, ask, clock)
    for (const path of [own, ...others])
      expect(fault(await ask('putSecret', { name: path, body: { data: { password: 'first' } }, ifMatch: 0 }))).toBe(
        '201 ',
      )
    for (const path of [own, 'prod/payroll/db'])
      expect(fault(await ask('putRotationPolicy', { name: path, body: { rotator }, ifMatch: 0 }))).toBe('201 ')
  })
  afterAll(() => purser.stop())

  const spiffeId = (name: string): string => `spiffe://example.org/lab/shop/${name}`
  const versionsOf = async (path: string): Promise<unknown> =>
    (await ask('listSecretVersions', { name: path })).body.items
  /** Reads everything that it may. */
  async function start(name: string): Promise<Pod> {
    const pod = await pods.start(name)
    for (const path of [own, ...others]) expect((await pod.fetch(path.replace('prod/', ''))).status, path).toBe(200)
    return pod
  }

  it('plans, rotates and reports nothing outside the bound, and states that without a name or number', async () => {
    await start('pod-1')
    const before = await Promise.all(others.map(versionsOf))
    const match = { spiffeId: spiffeId('pod-1') }
    const planned = await tools.attempt({ match, dryRun: true }, { token })
    expect(planned.body).toMatchObject({
      revoked: { accessTokens: 1, sessions: 1 },
      rotating: [{ path: own }],
      needsHands: [outside],
    })
    const answer = await tools.attempt({ match }, { token })
    expect(fault(answer)).toBe('201 ')
    const { id, requestId } = answer.body as unknown as Containment
    await tools.settled(id)
    const view = await ask('getContainment', { name: id, token })
    expect(view.body).toMatchObject({
      state: 'contained',
      revoked: { accessTokens: 1, sessions: 1 },
      rotating: [{ path: own, state: 'retired' }],
      needsHands: [outside],
    })
    const texts = [planned.text, answer.text, view.text].map((text) => text.replaceAll('prod/payroll/**', ''))
    for (const text of texts) expect(text).not.toContain('payroll')
    expect(JSON.stringify(await entryOf(purser, planned))).not.toMatch(/"(read|secret)":/)
    expect(await Promise.all(others.map(versionsOf))).toEqual(before)
    const rotated = (await entriesOf(purser, requestId)).filter(({ action }) => action === 'secret.rotate')
    expect(new Set(rotated.map(({ resource }) => resource?.name))).toEqual(new Set([own]))
    const released = await tools.release(id, { token })
    expect(released.body).toMatchObject({ needsHands: [outside] })
    expect(released.text.replaceAll('prod/payroll/**', '')).not.toContain('payroll')
  })

  it('names what it omitted to operators without a bound, who contain the rest', async () => {
    await start('pod-2')
    const match = { spiffeId: spiffeId('pod-2') }
    const { id } = (await tools.attempt({ match }, { token })).body as unknown as Containment
    const { needsHands } = await tools.settled(id)
    expect(needsHands.map(({ kind, name }) => `${kind} ${name}`)).toEqual(others.map((path) => `secret ${path}`))
    expect(needsHands[0]?.reason).toContain('outside the bound')
    const rest = await tools.contain(match)
    expect((await tools.settled(rest.id)).rotating.map(({ path }) => path)).toEqual(['prod/payroll/db'])
  })

  it("shows only the part of another operator's containment that is within the bound", async () => {
    await start('pod-3')
    const { id } = await tools.contain({ spiffeId: spiffeId('pod-3') })
    expect((await tools.settled(id)).needsHands).toMatchObject([{ kind: 'secret', name: 'prod/payroll/license' }])
    const view = await ask('getContainment', { name: id, token })
    expect(view.body).toMatchObject({ rotating: [{ path: own, state: 'retired' }], needsHands: [outside] })
    expect(view.text.replaceAll('prod/payroll/**', '')).not.toContain('payroll')
  })
})
