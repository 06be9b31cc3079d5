/** An account that is recreated under its old name is another principal (docs/architecture.md, Authorization). */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { makeIdentities } from '../outbound/tls-server.ts'
import { type KubeStandIn, type TokenOptions, startKubeStandIn } from '../support/kube-stand-in.ts'
import { entriesOf, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, audience, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const uidOf = (n: number) => `aaaaaaaa-0000-4000-8000-${String(n).padStart(12, '0')}`

describe.each(frontDoorStores)('accounts (%s)', (store) => {
  let purser: TestPurser
  let kube: KubeStandIn
  let sa = ''
  let round = 0

  beforeAll(async () => {
    const ids = makeIdentities()
    kube = await startKubeStandIn({ identity: ids.good, caPem: ids.ca })
    purser = await startPurser({ store, env: { PURSER_LIMIT_ADDRESS_PER_SECOND: '100000' } })
    for (const name of ['east', 'west']) {
      await purser.asAdmin('POST', '/api/v1/attestors', {
        name,
        kind: 'kubernetes',
        issuer: name === 'east' ? kube.issuer : 'https://west.example',
        audience,
        verify: 'jwks',
        keys: { jwks: { keys: [kube.jwk] } },
      })
    }
    const entries: [string, string, Record<string, unknown>][] = [
      ['any', 'prod', {}],
      ['pinned', 'pinned', { pinIdentity: true }],
      ['named', 'named', { pinIdentity: true, match: { 'k8s:ns': 'named', 'k8s:sa': '*', 'k8s:sa-uid': [uidOf(1), uidOf(2)] } }],
    ] // prettier-ignore
    for (const [name, ns, more] of entries) {
      await purser.asAdmin('POST', '/api/v1/workloads', {
        name,
        attestor: 'east',
        match: { 'k8s:ns': ns, 'k8s:sa': '*' },
        wide: true,
        spiffeId: `spiffe://example.org/east/${ns}/{k8s:sa}`,
        grants: { x509: {} },
        maxSessionSeconds: 7200,
        ...more,
      })
    }
    await purser.asAdmin('POST', '/api/v1/workloads', { name: 'western', attestor: 'west', match: { 'k8s:ns': 'prod' }, spiffeId: 'spiffe://example.org/west/prod', grants: { x509: {} } }) // prettier-ignore
  })
  afterAll(async () => {
    await purser.stop()
    await kube.stop()
  })
  beforeEach(() => {
    sa = `web-${++round}`
  })

  const now = () => Math.floor(Date.now() / 1000)
  /** A token from a time of the test's choice, by default a minute from now, after every earlier one. */
  const token = (uid: number, options: TokenOptions = {}): string =>
    kube.token({ sa, saUid: uidOf(uid), at: now() + 50, pod: { name: 'p', uid: `bbbbbbbb-0000-4000-8000-${String(round * 10 + uid).padStart(12, '0')}` }, ...options }) // prettier-ignore
  const present = (proofToken: string): Promise<Answer> =>
    purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token: proofToken }, accessToken: {} })
  const identityOf = (answer: Answer) =>
    purser.call('GET', '/api/v1/credentials/self', undefined, { token: (answer.body.accessToken as { token: string }).token }) // prettier-ignore
  const about = async (action: string) =>
    (await readLog(purser)).filter((entry) => entry.action === action && entry.resource?.name?.endsWith(`/${sa}`))
  const reasonOf = async (answer: Answer) =>
    (await entriesOf(purser, answer.headers.get('purser-request-id'))).find((e) => e.action === 'credentials.issue')
      ?.reason

  it('are pinned once, when first attested, before anything is issued to them', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => present(token(1))))
    expect(new Set(answers.map(fault))).toEqual(new Set(['200 ']))
    const pins = await about('identity.pin')
    expect(pins).toHaveLength(1)
    expect(pins[0]).toMatchObject({
      outcome: 'granted',
      actor: { kind: 'workload', attestor: 'east', selectors: { 'k8s:sa-uid': uidOf(1) } },
      resource: { kind: 'account', id: uidOf(1), name: `east/prod/${sa}` },
      change: { after: { account: `prod/${sa}`, uid: uidOf(1) } },
    })
    const log = await readLog(purser)
    const issued = log.findIndex((e) => e.action === 'credentials.issue' && e.actor.selectors?.['k8s:sa'] === sa)
    expect(log.findIndex((entry) => entry.resource?.name === `east/prod/${sa}`)).toBeLessThan(issued)
  })

  it('are not pinned if no entry matches', async () => {
    expect(fault(await present(token(1, { ns: 'unknown' })))).toBe('401 attestation_failed')
    expect(await about('identity.pin')).toHaveLength(0)
  })

  it('with another id are another principal: the change has its own entry, and the older sessions end', async () => {
    const old = await present(token(1))
    expect(fault(await identityOf(old))).toBe('200 ')
    const fresh = await present(token(2))
    expect(fault(fresh)).toBe('200 ')
    expect((fresh.body.session as { id: string }).id).not.toBe((old.body.session as { id: string }).id)
    expect(fault(await identityOf(fresh))).toBe('200 ')
    expect(fault(await identityOf(old))).toBe('401 unauthenticated')
    const [change, ...more] = await about('identity.change')
    expect(more).toHaveLength(0)
    expect(change?.change).toEqual({
      after: { account: `prod/${sa}`, uid: uidOf(2), previous: [uidOf(1)] },
    })
  })

  it('that are recreated while their pod keeps running make the pod a new instance', async () => {
    const pod = { name: 'p', uid: `bbbbbbbb-0000-4000-8000-${String(round).padStart(12, '9')}` }
    const old = await present(token(1, { pod }))
    const fresh = await present(token(2, { pod }))
    expect((fresh.body.session as { id: string }).id).not.toBe((old.body.session as { id: string }).id)
    expect([fault(await identityOf(old)), fault(await identityOf(fresh))]).toEqual(['401 unauthenticated', '200 '])
  })

  it('that were replaced are refused, also with a new token, and the new account continues', async () => {
    await present(token(1))
    const fresh = await present(token(2))
    for (const proofToken of [token(1), token(1, { at: now() + 55 })]) {
      const reply = await present(proofToken)
      expect(fault(reply)).toBe('401 attestation_failed')
      expect(await reasonOf(reply)).toBe('identity_superseded')
    }
    expect(fault(await identityOf(fresh))).toBe('200 ')
    expect(fault(await present(token(2)))).toBe('200 ')
    expect(await about('identity.change')).toHaveLength(1)
  })

  it('with a token older than the current pin are not accepted as newer accounts', async () => {
    const present2 = await present(token(2, { at: now() - 30 }))
    const reply = await present(token(1, { at: now() - 60 }))
    expect(fault(reply)).toBe('401 attestation_failed')
    expect(await reasonOf(reply)).toBe('identity_superseded')
    expect(fault(await identityOf(present2))).toBe('200 ')
    expect(await about('identity.change')).toHaveLength(0)
  })

  it('with another id are refused by an entry with pinIdentity', async () => {
    expect(fault(await present(token(1, { ns: 'pinned' })))).toBe('200 ')
    for (let n = 0; n < 2; n++) {
      const answer = await present(token(2, { ns: 'pinned' }))
      expect(fault(answer)).toBe('401 attestation_failed')
      expect(await reasonOf(answer)).toBe('identity_changed')
    }
    expect(await about('identity.change')).toHaveLength(1)
    // The replaced account stays refused, whatever the entry says.
    expect(await reasonOf(await present(token(1, { ns: 'pinned' })))).toBe('identity_superseded')
  })

  it('that are recreated do not match an entry with the earlier k8s:sa-uid', async () => {
    expect(fault(await present(token(1, { ns: 'named' })))).toBe('200 ')
    expect(fault(await present(token(2, { ns: 'named' })))).toBe('200 ')
    const stranger = await present(token(3, { ns: 'named' }))
    expect(await reasonOf(stranger)).toBe('no_workload')
    // It replaced the account all the same: the credentials of the older one have ended.
    expect(await about('identity.change')).toHaveLength(2)
    expect(await reasonOf(await present(token(2, { ns: 'named' })))).toBe('identity_superseded')
  })

  it('of another cluster or namespace are other accounts', async () => {
    await present(token(1))
    expect(fault(await present(token(2, { claims: { iss: 'https://west.example' } })))).toBe('200 ')
    expect(fault(await present(token(3, { ns: 'pinned' })))).toBe('200 ')
    expect(fault(await present(token(1)))).toBe('200 ')
    expect(await about('identity.change')).toHaveLength(0)
  })

  it('that are recreated during 60 requests leave one principal', async () => {
    await present(token(1))
    const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => present(token(n % 2 ? 1 : 2))))
    expect(new Set(answers.map(fault))).toEqual(new Set(['200 ', '401 attestation_failed']))
    expect(answers.filter((_, n) => n % 2 === 0).every(({ status }) => status === 200)).toBe(true)
    expect(await about('identity.change')).toHaveLength(1)
    for (const [n, answer] of answers.entries()) {
      if (n % 2 === 1 && answer.status === 200) expect(fault(await identityOf(answer))).toBe('401 unauthenticated')
    }
    // After the index of the change nothing was issued to the older one.
    const log = await readLog(purser)
    const change = log.findIndex((e) => e.action === 'identity.change' && e.resource?.name === `east/prod/${sa}`)
    const later = log.slice(change).filter((e) => e.outcome === 'granted' && e.issued && e.actor.selectors?.['k8s:sa'] === sa) // prettier-ignore
    expect(later.length).toBeGreaterThan(0)
    expect(later.every((entry) => entry.actor.selectors?.['k8s:sa-uid'] === uidOf(2))).toBe(true)
  })
})
