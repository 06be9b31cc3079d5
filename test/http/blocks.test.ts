/** Blocks: a revoked instance or SPIFFE ID stays refused under every entry until an operator releases it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { type Ask, createAsk, entryOf, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const web = 'spiffe://example.org/lab/web'
const hour = 3600

type Block = { id: string; kind: string; session?: string; spiffeId?: string; since: string; reason?: string }

describe.each(frontDoorStores)('a block (%s)', (store) => {
  const clock = createClock()
  let purser: TestPurser
  let ask: Ask
  let lab: Lab
  let pods = 0
  let pod: { jti: string }

  beforeAll(async () => {
    // Each refusal has an entry with its reason.
    purser = await startPurser({ store, now: clock.now, env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: '6000' } })
    ask = createAsk(purser)
    lab = await createLab(purser, clock)
  })
  beforeEach(() => void (pod = { jti: `pod-${++pods}` }))
  afterAll(() => purser.stop())

  async function revoke(body: Record<string, unknown>): Promise<string> {
    const answer = await ask('createRevocation', { body })
    expect(fault(answer)).toBe('201 ')
    return String(answer.body.id)
  }
  const release = (id: string, more: Record<string, unknown> = {}): Promise<Answer> =>
    ask('releaseRevocation', { name: id, reason: 'the image was rebuilt', ...more })
  const blocks = async (): Promise<Block[]> => (await ask('listRevocations')).body.items as Block[]
  const reasonOf = async (answer: Answer): Promise<unknown> =>
    answer.status === 200 ? 'granted' : (await entryOf(purser, answer))?.reason
  const attest = async (claims: Record<string, unknown>, more = {}): Promise<unknown> =>
    reasonOf(await lab.ask(claims, more))

  const definition = { attestor: 'lab', match: { 'oidc:sub': 'web' }, spiffeId: web, maxSessionSeconds: 7200 }
  const register = (body: Record<string, unknown>): Promise<Answer> => purser.asAdmin('POST', '/api/v1/workloads', body)
  const remove = async (name: string): Promise<void> => {
    const { headers } = await ask('getWorkload', { name })
    await purser.asAdmin('DELETE', `/api/v1/workloads/${name}`, undefined, {
      'if-match': headers.get('etag') ?? '',
    })
  }

  it('of an instance outlasts the session that was revoked', async () => {
    const { session } = await lab.get(pod)
    const id = await revoke({ session })
    expect(await attest(pod)).toBe('blocked')
    for (const hours of [3, 24]) {
      clock.advance(hours * hour)
      expect(await attest(pod)).toBe('blocked')
    }
    expect(fault(await release(id))).toBe('200 ')
  })

  it('of an instance holds under a second entry, and under an entry that was deleted and created again', async () => {
    const { session } = await lab.get(pod)
    const id = await revoke({ session })
    await register({ ...definition, name: 'web-2', spiffeId: 'spiffe://example.org/lab/web-2' })
    expect(await attest(pod, { workload: 'web-2' })).toBe('blocked')
    await remove('web-2')
    await remove('web')
    await register({ ...definition, name: 'web', grants: { x509: {}, jwt: { audiences: ['payments'] } } })
    expect(await attest(pod)).toBe('blocked')
    expect(await attest({ jti: 'another-pod' })).toBe('granted')
    await release(id)
  })

  it('of an instance also stops its sessions under other entries', async () => {
    await register({ ...definition, name: 'web-3', spiffeId: 'spiffe://example.org/lab/web-3' })
    const first = await lab.get(pod, { workload: 'web' })
    const second = await lab.get(pod, { workload: 'web-3', jwts: [], x509: undefined })
    const id = await revoke({ session: first.session })
    expect((await ask('whoAmI', { token: second.accessToken })).status).toBe(401)
    await remove('web-3')
    await release(id)
  })

  it('of a SPIFFE ID keeps all its instances out until it is released', async () => {
    const before = await lab.get({ jti: 'before' })
    await register({ ...definition, name: 'api', match: { 'oidc:sub': 'api' }, spiffeId: `${web}/api` })
    const id = await revoke({ spiffeId: web, reason: 'keyCompromise' })
    expect(await attest(pod)).toBe('blocked')
    expect(await attest({ jti: 'before' })).toBe('blocked')
    expect(await attest({ ...pod, sub: 'api' })).toBe('granted')
    clock.advance(24 * hour)
    expect(await attest(pod)).toBe('blocked')
    expect(await blocks()).toMatchObject([{ id, kind: 'spiffeId', spiffeId: web, reason: 'keyCompromise' }])
    expect(fault(await release(id))).toBe('200 ')
    expect(await attest(pod)).toBe('granted')
    expect((await ask('introspectToken', { body: { token: before.accessToken } })).body.active).toBe(false)
    await remove('api')
  })

  it('of a SPIFFE ID since a time also stops earlier credentials while it is in force', async () => {
    const before = await lab.get({ jti: 'early' })
    clock.advance(60)
    const after = await lab.get({ jti: 'late' })
    const isActive = async (token: string) => (await ask('introspectToken', { body: { token } })).body.active
    const id = await revoke({ spiffeId: web, since: clock.now().toISOString() })
    expect([await isActive(before.accessToken), await isActive(after.accessToken)]).toEqual([false, false])
    await release(id)
    expect([await isActive(before.accessToken), await isActive(after.accessToken)]).toEqual([true, false])
  })

  it('is released once, by an operator with a reason', async () => {
    const { session, accessToken } = await lab.get(pod)
    const id = await revoke({ session, reason: 'privilegeWithdrawn' })
    const since = clock.now().toISOString().replace('.000Z', 'Z')
    expect(await blocks()).toMatchObject([
      { id, kind: 'instance', session, spiffeId: web, since, reason: 'privilegeWithdrawn' },
    ])
    expect(fault(await ask('releaseRevocation', { name: id }))).toBe('400 invalid_request /header/Purser-Reason')
    expect(fault(await release('rev_00000000000000000000000000000000'))).toBe('404 not_found')
    expect(fault(await release(id, { token: accessToken }))).toBe('401 token_type')
    expect(fault(await ask('listRevocations', { token: accessToken }))).toBe('401 token_type')
    expect(await attest(pod)).toBe('blocked')

    const released = await release(id)
    expect(released.body).toMatchObject({ id, released: [{ kind: 'instance', session }] })
    expect(await entryOf(purser, released)).toMatchObject({
      action: 'revocation.release',
      outcome: 'granted',
      actor: { operator: 'admin', note: 'the image was rebuilt' },
      resource: { kind: 'revocation', id },
      change: { after: { released: [{ kind: 'instance', session }] } },
    })
    expect(await blocks()).toEqual([])
    expect(fault(await release(id))).toBe('404 not_found')
    expect((await lab.get(pod)).session).not.toBe(session)
  })

  it('belongs to the newest revocation, and is created again by the next one', async () => {
    const first = await revoke({ spiffeId: web })
    const second = await revoke({ spiffeId: web })
    expect((await blocks()).map((block) => block.id)).toEqual([second])
    expect(fault(await release(first))).toBe('404 not_found')
    expect(await attest(pod)).toBe('blocked')
    await release(second)
    expect(await attest(pod)).toBe('granted')
    const third = await revoke({ spiffeId: web })
    expect(await attest(pod)).toBe('blocked')
    await release(third)
  })

  it('is named in the log and in the explanation of the refusal', async () => {
    const { session } = await lab.get(pod)
    const answer = await ask('createRevocation', { body: { session } })
    expect(await entryOf(purser, answer)).toMatchObject({ change: { after: { session, blocks: 'instance' } } })
    const refused = await lab.ask(pod)
    const token = await lab.issuer.token({ ...pod, iat: clock.seconds(), exp: clock.seconds() + 600 })
    const explained = await ask('explainWorkload', { body: { proof: { kind: 'jwt', token } } })
    expect(explained.body).toMatchObject({ outcome: 'refused', reason: 'blocked' })
    expect(explained.text).toContain(String(answer.body.id))
    expect(refused.body.code).toBe('attestation_failed')
    expect(refused.text).not.toContain(String(answer.body.id))
    await release(String(answer.body.id))
  })

  it('of an instance keeps its attestor until it is released, and does not cover other attestors', async () => {
    const { session } = await lab.get(pod)
    const id = await revoke({ session })
    for (const { name } of (await ask('listWorkloads')).body.items as { name: string }[]) await remove(name)
    const removeAttestor = async (): Promise<Answer> => {
      const { body } = await ask('getAttestor', { name: 'lab' })
      return ask('deleteAttestor', { name: 'lab', ifMatch: Number(body.revision) })
    }
    const refused = await removeAttestor()
    expect(fault(refused)).toBe('409 in_use')
    expect(refused.body.detail).toContain(id)
    await release(id)
    expect(fault(await removeAttestor())).toBe('204 ')
  })
})
