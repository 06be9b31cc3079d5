/** Requests that need a second operator: requested, approved, and used once, at three replicas. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { approvable } from '../../src/operators/approvable.ts'
import { type Token, account, entryFor } from '../support/accounts.ts'
import { type Written, approved, reason, requested, send } from '../support/approvals.ts'
import { createClock } from '../support/clock.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, audience, startPurser, startReplica } from '../support/purser.ts'

const env = { PURSER_APPROVAL_ACTIONS: Object.keys(approvable).join(','), PURSER_APPROVAL_LIFETIME_SECONDS: '600' }
const clock = createClock()
/** Without approvals, for what a test begins with. */
let plain: TestPurser
let replicas: TestPurser[]
let purser: TestPurser
let setUp: Ask
let ask: Ask
let ada: string
let ben: string
let names = 0
let keys: object

beforeAll(async () => {
  plain = await startPurser({ store: 'postgres', now: clock.now })
  setUp = createAsk(plain)
  replicas = await Promise.all([1, 2, 3].map(() => startReplica(plain, { env, now: clock.now })))
  purser = replicas[0] ?? plain
  ask = createAsk(purser)
  keys = { jwks: { keys: [(await createIssuer()).jwk] } }
  ada = (await accountAt('ada', 'admin')).token
  ben = (await accountAt('ben', 'admin')).token
  clock.advance(1)
})
afterAll(async () => {
  for (const replica of replicas ?? []) await replica.stop()
  await plain?.stop()
})

/** On a busy machine, replicas hear of a change late. */
const patient = { timeout: 4000 }

/** Every replica has heard of the token. */
async function known(token: string): Promise<string> {
  for (const replica of replicas)
    await vi.waitFor(async () => expect((await createAsk(replica)('whoAmI', { token })).status).toBe(200), patient)
  return token
}

async function accountAt(name: string, role: string): Promise<Token> {
  const created = await account(setUp, name, role)
  await known(created.token)
  return created
}

/** The deletion of a new attestor. */
async function deletion(): Promise<Written & { name: string }> {
  const name = `lab-${++names}`
  const body = { name, kind: 'oidc', issuer: `https://${name}.example`, audience, keys }
  const { status, text } = await setUp('createAttestor', { body })
  expect(status, text).toBe(201)
  return { name, method: 'DELETE', path: `/api/v1/attestors/${name}`, ifMatch: '"1"' }
}

const written = ({ method, path, ifMatch, body }: Written): Written => ({
  method,
  path,
  ...(ifMatch !== undefined && { ifMatch }),
  ...(body !== undefined && { body }),
})

const exists = async (name: string): Promise<boolean> => (await ask('getAttestor', { name })).status === 200
const stateOf = async (id: string): Promise<unknown> => (await ask('getApproval', { name: id })).body['state']
const by = {
  get requester() {
    return ada
  },
  get approver() {
    return ben
  },
}
const statuses = (answers: Answer[]): number[] => answers.map(({ status }) => status).toSorted((a, b) => a - b)

describe('a request that needs a second operator', () => {
  it('is refused with what to do, approved, done once, and recorded with its approval', async () => {
    const target = await deletion()
    const request = written(target)
    const refused = await send(purser, request, { token: ada })
    expect(fault(refused)).toBe('403 approval_required')
    expect(refused.body['detail']).toContain('POST /api/v1/approvals')
    const asked = await ask('requestApproval', { body: { request, reason }, token: ada })
    const id = String(asked.body['id'])
    expect(asked.body).toMatchObject({ state: 'pending', operator: 'ada', action: 'attestor.delete', request, reason })
    expect(fault(await send(purser, request, { token: ada, approval: id }))).toBe('403 approval_required')
    const approval = await ask('approveRequest', { name: id, token: ben, reason: 'the cluster is gone' })
    expect(approval.body).toMatchObject({ state: 'approved', decidedBy: 'ben', decisionReason: 'the cluster is gone' })
    const done = await send(purser, request, { token: ada, approval: id })
    expect(done.status, done.text).toBe(204)
    expect(await exists(target.name)).toBe(false)
    expect(await stateOf(id)).toBe('used')
    const entries = (await readLog(purser)).filter(
      ({ action, resource, approval: given }) =>
        action !== 'approval.read' && (resource?.id === id || given?.id === id),
    )
    expect(entries.map(({ action }) => action)).toEqual(['approval.request', 'approval.approve', 'attestor.delete'])
    const [first, second, third] = entries
    expect(first).toMatchObject({ actor: { operator: 'ada' }, change: { after: { request, reason } } })
    expect(second).toMatchObject({ actor: { operator: 'ben', note: 'the cluster is gone' } })
    expect(third).toMatchObject({ actor: { operator: 'ada' }, approval: { id, approver: 'ben' } })
  })

  it('is done once by 20 requests at three replicas', async () => {
    const target = await deletion()
    const id = await approved(ask, written(target), by)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => send(replicas[n % 3] ?? purser, target, { token: ada, approval: id })),
    )
    expect(statuses(answers)).toEqual([204, ...Array.from({ length: 19 }, () => 403)])
  })

  it('reads a value once by 20 requests at three replicas', async () => {
    await setUp('putSecret', { name: 'prod/db', body: { data: { password: 'hidden' } }, ifMatch: 0 })
    const one = { method: 'GET', path: '/api/v1/secrets/prod/db' }
    const many = { method: 'POST', path: '/api/v1/secrets:read', body: { secrets: ['prod/db'] } }
    for (const request of [one, many]) {
      expect(fault(await send(purser, request, { token: ada }))).toBe('403 approval_required')
      const id = await approved(ask, request, by)
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) => send(replicas[n % 3] ?? purser, request, { token: ada, approval: id })),
      )
      expect(statuses(answers)).toEqual([200, ...Array.from({ length: 19 }, () => 403)])
      const read = answers.find(({ status }) => status === 200)
      expect(read && (await entryFor(purser, read))).toMatchObject({
        action: 'secret.read',
        issued: { secrets: [{ path: 'prod/db', version: 1 }] },
        approval: { id, approver: 'ben' },
      })
    }
  })

  it('exports the log, with a query', async () => {
    const request = { method: 'GET', path: '/api/v1/audit/export?from=0&to=2' }
    const id = await approved(ask, request, by)
    const swapped = { ...request, path: '/api/v1/audit/export?to=2&from=0' }
    expect(fault(await send(purser, swapped, { token: ada, approval: id }))).toBe('403 approval_mismatch')
    expect((await send(purser, request, { token: ada, approval: id })).status).toBe(200)
    expect(fault(await send(purser, request, { token: ada, approval: id }))).toBe('403 approval_required')
  })

  it('does not use the approval up where it fails', async () => {
    const target = await deletion()
    const stale = { ...written(target), ifMatch: '"7"' }
    const id = await approved(ask, stale, by)
    expect(fault(await send(purser, stale, { token: ada, approval: id }))).toBe('412 stale')
    expect(await stateOf(id)).toBe('approved')
    const missing = { method: 'GET', path: '/api/v1/secrets/prod/none' }
    const read = await approved(ask, missing, by)
    expect(fault(await send(purser, missing, { token: ada, approval: read }))).toMatch(/^404 not_found/)
    expect(await stateOf(read)).toBe('approved')
  })

  it('is repeated under its Idempotency-Key, and not under another', async () => {
    const body = { name: `key-${++names}`, role: 'auditor' }
    const request = { method: 'POST', path: '/api/v1/operators', body }
    const id = await approved(ask, request, by)
    const headers = { 'idempotency-key': 'once' }
    const first = await send(purser, request, { token: ada, approval: id, headers })
    const again = await send(replicas[1] ?? purser, request, { token: ada, approval: id, headers })
    expect([first.status, again.status]).toEqual([201, 201])
    expect(again.body['id']).toBe(first.body['id'])
    for (const other of [{ 'idempotency-key': 'other' }, {}])
      expect(fault(await send(purser, request, { token: ada, approval: id, headers: other }))).toBe(
        '403 approval_required',
      )
  })

  it('leaves workloads and other actions alone', async () => {
    const issuer = await createIssuer()
    await registerLab(plain, issuer)
    const issued = await vi.waitFor(async () => {
      const proof = { kind: 'jwt', token: await issuer.token() }
      const answer = await purser.call('POST', '/api/v1/credentials', { proof, accessToken: {} })
      expect(answer.status, answer.text).toBe(200)
      return answer
    }, patient)
    const { token } = issued.body['accessToken'] as { token: string }
    const read = await purser.call(
      'POST',
      '/api/v1/secrets:read',
      { secrets: [{ path: 'prod/db', optional: true }] },
      { token },
    )
    expect(read.status, read.text).toBe(200)
    expect((await ask('listWorkloads')).status).toBe(200)
  })
})

describe('an approval of another request is refused, and stays', () => {
  let request: Written
  let id: string
  beforeAll(async () => {
    const { name } = await deletion()
    const definition = { kind: 'oidc', issuer: `https://${name}-b.example`, audience, keys }
    request = { method: 'PUT', path: `/api/v1/attestors/${name}`, ifMatch: '"1"', body: { name, ...definition } }
    id = await approved(ask, request, by)
  })

  it.each<[string, () => Written, string]>([
    [
      'another body',
      () => ({ ...request, body: { ...(request.body as object), issuer: 'https://z.example' } }),
      'another body',
    ],
    ['another If-Match', () => ({ ...request, ifMatch: '"2"' }), 'If-Match "1"'],
    ['another method', () => ({ ...request, method: 'DELETE', body: undefined }), 'it is of PUT'],
    ['another object', () => ({ ...request, path: '/api/v1/attestors/other', body: { ...(request.body as object), name: 'other' } }), 'it is of PUT'], // prettier-ignore
  ])('%s', async (_, other, detail) => {
    const answer = await send(purser, other(), { token: ada, approval: id })
    expect(fault(answer)).toBe('403 approval_mismatch')
    expect(answer.body['detail']).toContain(detail)
    expect(await stateOf(id)).toBe('approved')
  })

  it('another spelling of the path', async () => {
    const path = request.path.replace('lab-', 'lab%2D')
    expect(fault(await send(purser, { ...request, path }, { token: ada, approval: id }))).toBe('400 bad_path')
    const body = { request: { ...request, path }, reason }
    expect(fault(await ask('requestApproval', { body, token: ada }))).toBe('400 invalid_request /request/path')
  })

  it('another operator', async () => {
    for (const token of [ben, purser.admin])
      expect(fault(await send(purser, request, { token, approval: id }))).toBe('403 approval_required')
  })

  it('two approvals, and what is none', async () => {
    const bad = ['apr_1', `${id}, ${id}`, `${id},${id}`, '', id.toUpperCase()]
    for (const approval of bad)
      expect(fault(await send(purser, request, { token: ada, approval }))).toBe(
        '400 invalid_request /header/Purser-Approval',
      )
    const unknown = `apr_${'0'.repeat(32)}`
    expect(fault(await send(purser, request, { token: ada, approval: unknown }))).toBe('403 approval_required')
  })

  it('the same members in another order are the same request', async () => {
    const body = Object.fromEntries(Object.entries(request.body as object).toReversed())
    expect((await send(purser, { ...request, body }, { token: ada, approval: id })).status).toBe(200)
  })
})

describe('POST /api/v1/approvals refuses', () => {
  it.each<[string, Written, string]>([
    ['a path without a route', { method: 'POST', path: '/api/v1/nothing' }, '400 invalid_request /request/path'],
    ['another method', { method: 'GET', path: '/api/v1/log:redact' }, '400 invalid_request /request/path'],
    ['a body that the route refuses', { method: 'POST', path: '/api/v1/log:redact', body: { epoch: 1, from: 'x', to: 2, rule: 'r', more: 1 } }, '400 invalid_request /request/body/more /request/body/from'], // prettier-ignore
    ['no body where one is required', { method: 'POST', path: '/api/v1/log:redact' }, '400 invalid_request /request/body'], // prettier-ignore
    ['a query that the route refuses', { method: 'GET', path: '/api/v1/audit/export?from=x' }, '400 invalid_request /request/query/from'], // prettier-ignore
    ['a name that the route refuses', { method: 'DELETE', path: '/api/v1/attestors/X', ifMatch: '"1"' }, '400 invalid_request /request/path/name'], // prettier-ignore
    ['no If-Match where one is required', { method: 'DELETE', path: '/api/v1/attestors/x' }, '400 invalid_request /request/ifMatch'], // prettier-ignore
    ['an If-Match that is not read', { method: 'POST', path: '/api/v1/log:open', ifMatch: '"1"' }, '400 invalid_request /request/ifMatch'], // prettier-ignore
    ['a request that needs no approval', { method: 'GET', path: '/api/v1/workloads' }, '422 impossible /request'],
    ['a request with a password', { method: 'POST', path: '/api/v1/operators/ben:password', body: { password: 'a password of mine' } }, '422 impossible /request'], // prettier-ignore
    ['an approval of an approval', { method: 'POST', path: `/api/v1/approvals/apr_${'0'.repeat(32)}:approve` }, '422 impossible /request'], // prettier-ignore
  ])('%s', async (_, request, expected) => {
    expect(fault(await ask('requestApproval', { body: { request, reason }, token: ada }))).toBe(expected)
  })

  it('what the caller may not do itself', async () => {
    const { token } = await accountAt(`op-${++names}`, 'operator')
    const request = written(await deletion())
    expect(fault(await ask('requestApproval', { body: { request, reason }, token }))).toBe('403 forbidden')
  })

  it('a body of 1 MB, and one above the limit of the route', async () => {
    const request = { method: 'POST', path: '/api/v1/log:redact', body: { epoch: 1, from: 0, to: 1, rule: 'r' } }
    const huge = { request: { ...request, body: { ...request.body, rule: 'r'.repeat(1_000_000) } }, reason }
    expect(fault(await ask('requestApproval', { body: huge, token: ada }))).toBe('413 too_large')
    const secrets = Array.from({ length: 100 }, (_, n) => `prod/${String(n).padStart(800, 'x')}`)
    const read = { method: 'POST', path: '/api/v1/secrets:read', body: { secrets } }
    expect(fault(await ask('requestApproval', { body: { request: read, reason }, token: ada }))).toMatch(/^4(13|00) /)
  })

  it('more than 100 open requests of one operator', async () => {
    const { token } = await accountAt(`many-${++names}`, 'admin')
    const request = { method: 'POST', path: '/api/v1/log:open' }
    const attempt = () => ask('requestApproval', { body: { request, reason }, token })
    for (let n = 0; n < 14; n++) await Promise.all(Array.from({ length: 7 }, () => requested(ask, request, token)))
    const attempts = await Promise.all(Array.from({ length: 6 }, attempt))
    expect(statuses(attempts)).toEqual([201, 201, 409, 409, 409, 409])
    const first = attempts.find(({ status }) => status === 201)
    const withdrawn = await ask('withdrawRequest', { name: String(first?.body['id']), token })
    expect(withdrawn.body['state']).toBe('withdrawn')
    await requested(ask, request, token)
  })
})

describe('a decision is refused', () => {
  it('of the requester, with any token', async () => {
    const id = await requested(ask, written(await deletion()), ada)
    const second = await setUp('createToken', { body: {}, token: ada })
    for (const token of [ada, await known(String(second.body['token']))]) {
      expect(fault(await ask('approveRequest', { name: id, token }))).toBe('403 own_request')
      expect(fault(await ask('denyRequest', { name: id, token, reason }))).toBe('403 own_request')
    }
    expect(fault(await ask('withdrawRequest', { name: id, token: ben }))).toBe('403 forbidden')
    expect(await stateOf(id)).toBe('pending')
  })

  it('of an operator without the permission, who does not find it', async () => {
    const id = await requested(ask, written(await deletion()), ada)
    const operator = await accountAt(`op-${++names}`, 'operator')
    const auditor = await accountAt(`au-${++names}`, 'auditor')
    expect(fault(await ask('approveRequest', { name: id, token: operator.token }))).toBe('404 not_found')
    expect(fault(await ask('getApproval', { name: id, token: operator.token }))).toBe('404 not_found')
    expect(fault(await ask('getApproval', { name: id, token: auditor.token }))).toBe('200 ')
    clock.advance(1)
    const later = await requested(ask, written(await deletion()), ada)
    expect(fault(await ask('approveRequest', { name: later, token: auditor.token }))).toBe('403 forbidden')
  })

  it('of an operator who was created after the request', async () => {
    const id = await requested(ask, written(await deletion()), ada)
    clock.advance(1)
    const { token } = await accountAt(`new-${++names}`, 'admin')
    expect(fault(await ask('approveRequest', { name: id, token }))).toBe('403 forbidden')
  })

  it('twice, after a denial, after its end and after its use', async () => {
    const target = await deletion()
    const id = await approved(ask, written(target), by)
    expect(fault(await ask('approveRequest', { name: id, token: ben }))).toBe('409 conflict')
    expect(fault(await ask('withdrawRequest', { name: id, token: ada }))).toBe('409 conflict')
    expect((await send(purser, target, { token: ada, approval: id })).status).toBe(204)
    expect(fault(await ask('approveRequest', { name: id, token: ben }))).toBe('409 conflict')

    const denied = await requested(ask, written(await deletion()), ada)
    expect(fault(await ask('denyRequest', { name: denied, token: ben }))).toBe(
      '400 invalid_request /header/Purser-Reason',
    )
    expect((await ask('denyRequest', { name: denied, token: ben, reason })).body['state']).toBe('denied')
    expect(fault(await ask('approveRequest', { name: denied, token: ben }))).toBe('409 conflict')

    const late = await deletion()
    const open = await requested(ask, written(late), ada)
    const ready = await approved(ask, written(late), by)
    clock.advance(601)
    expect(fault(await ask('approveRequest', { name: open, token: ben }))).toBe('409 conflict')
    expect(fault(await send(purser, late, { token: ada, approval: ready }))).toBe('403 approval_required')
    expect([await stateOf(open), await stateOf(ready)]).toEqual(['expired', 'expired'])
  })
})

describe('an approval ends', () => {
  type Approver = { name: string; token: string }
  const newAdmin = async (): Promise<Approver> => {
    const name = `admin-${++names}`
    const { token } = await accountAt(name, 'admin')
    clock.advance(1)
    return { name, token }
  }

  it.each<[string, (approver: Approver) => Promise<unknown>]>([
    ['is disabled', ({ name }) => setUp('disableOperator', { name })],
    ['is deleted', ({ name }) => setUp('deleteOperator', { name, ifMatch: 1 })],
    ['is deleted and created again', async ({ name }) => {
      await setUp('deleteOperator', { name, ifMatch: 1 })
      await setUp('createOperator', { body: { name, role: 'admin' } })
    }], // prettier-ignore
    [
      'gets a lesser role',
      ({ name }) => setUp('replaceOperator', { name, ifMatch: 1, body: { name, role: 'operator' } }),
    ],
    ['is contained', ({ name }) => setUp('createContainment', { body: { match: { operator: name } }, reason })],
  ])('once its approver %s', async (_, end) => {
    const approver = await newAdmin()
    const target = await deletion()
    const id = await approved(ask, written(target), { requester: ada, approver: approver.token })
    const ended = (await end(approver)) as Answer | undefined
    if (ended) expect(ended.status, ended.text).toBeLessThan(300)
    for (const replica of replicas)
      expect(fault(await send(replica, target, { token: ada, approval: id }))).toBe('403 approval_required')
    expect(await exists(target.name)).toBe(true)
  })

  it('once the requester was contained, for its later tokens too', async () => {
    const requester = await newAdmin()
    const target = await deletion()
    const pending = await requested(ask, written(target), requester.token)
    const ready = await approved(ask, written(target), { requester: requester.token, approver: ben })
    const { status, body } = await setUp('createContainment', { body: { match: { operator: requester.name } }, reason })
    expect(status).toBe(201)
    const entry = (await readLog(purser)).find(({ resource }) => resource?.id === body['id'])
    expect(entry?.detail?.['withdrawnApprovals']).toHaveLength(2)
    await setUp('enableOperator', { name: requester.name })
    const { body: renewed } = await setUp('createToken', { body: { operator: requester.name } })
    const token = await known(String(renewed['token']))
    expect(fault(await ask('approveRequest', { name: pending, token: ben }))).toBe('409 conflict')
    expect(fault(await send(purser, target, { token, approval: ready }))).toBe('403 approval_required')
  })

  it('where its approver is disabled while it is used: never after the entry of that', async () => {
    for (let n = 0; n < 5; n++) {
      const approver = await newAdmin()
      const target = await deletion()
      const id = await approved(ask, written(target), { requester: ada, approver: approver.token })
      const [used] = await Promise.all([
        send(replicas[n % 3] ?? purser, target, { token: ada, approval: id }),
        setUp('disableOperator', { name: approver.name }),
      ])
      const log = await readLog(purser)
      const disabled = log.findIndex(
        ({ action, resource }) => action === 'operator.disable' && resource?.name === approver.name,
      )
      const act = log.findIndex(({ approval }) => approval?.id === id)
      expect(used.status === 204).toBe(act >= 0)
      if (act >= 0) expect(act).toBeLessThan(disabled)
    }
  })
})

describe('operators with a bound', () => {
  const boundOf = (team: string) => ({
    namePrefix: `${team}-`,
    attestors: [],
    spiffeIdPrefix: `/${team}/`,
    secretPrefix: `${team}/`,
    audiences: [],
    dnsSuffixes: [],
    databases: [],
  })
  async function member(name: string, team: string): Promise<string> {
    const created = await setUp('createOperator', { body: { name, role: 'operator', bound: boundOf(team) } })
    expect(created.status, created.text).toBe(201)
    const { body } = await setUp('createToken', { body: { operator: name } })
    clock.advance(1)
    return known(String(body['token']))
  }

  it('approve for those within their bound, and know no others', async () => {
    for (const path of ['red/db', 'blue/db'])
      await setUp('putSecret', { name: path, body: { data: { password: 'x' } }, ifMatch: 0 })
    const rose = await member('red-rose', 'red')
    const ruby = await member('red-ruby', 'red')
    const blake = await member('blue-blake', 'blue')
    const request = { method: 'GET', path: '/api/v1/secrets/red/db' }
    const id = await requested(ask, request, rose)
    const unknown = `apr_${'1'.repeat(32)}`
    const bodyOf = ({ body, status }: Answer) => ({ status, body: { ...body, requestId: '' } })
    for (const operation of ['getApproval', 'approveRequest', 'withdrawRequest'] as const) {
      const refused = await ask(operation, { name: id, token: blake })
      expect(bodyOf(refused)).toEqual(bodyOf(await ask(operation, { name: unknown, token: blake })))
      expect(refused.status).toBe(404)
    }
    expect((await ask('listApprovals', { token: blake })).body['items']).toEqual([])
    expect((await ask('listApprovals', { token: ruby })).body['items']).toMatchObject([{ id, operator: 'red-rose' }])
    expect((await ask('approveRequest', { name: id, token: ruby })).status).toBe(200)
    expect((await send(purser, request, { token: rose, approval: id })).status).toBe(200)
    // A secret outside the bound does not exist, and neither does its approval.
    const outside = { method: 'GET', path: '/api/v1/secrets/blue/db' }
    expect(fault(await ask('requestApproval', { body: { request: outside, reason }, token: rose }))).toBe(
      '404 not_found',
    )
    const hidden = { method: 'POST', path: '/api/v1/secrets:read', body: { secrets: ['blue/db'] } }
    const wide = await approved(ask, hidden, { requester: rose, approver: ben })
    expect((await send(purser, hidden, { token: rose, approval: wide })).status).toBeGreaterThan(399)
  })

  it('are not shown by a token with a bound what wider tokens of its operator request', async () => {
    const wide = await accountAt(`wide-${++names}`, 'admin')
    const { body } = await setUp('createToken', {
      body: { bound: boundOf('red'), role: 'operator' },
      token: wide.token,
    })
    const narrow = await known(String(body['token']))
    const id = await requested(ask, { method: 'GET', path: '/api/v1/secrets/blue/db' }, wide.token)
    expect(fault(await ask('getApproval', { name: id, token: narrow }))).toBe('404 not_found')
    const own = await requested(ask, { method: 'GET', path: '/api/v1/secrets/red/db' }, narrow)
    const { body: list } = await ask('listApprovals', { token: narrow })
    const operator = `wide-${names}`
    const listed = (list['items'] as { id: string; operator: string }[]).filter((item) => item.operator === operator)
    expect(listed.map((item) => item.id)).toEqual([own])
  })

  it('lose what was approved once either bound no longer fits', async () => {
    const wanda = await member('team-wanda', 'team')
    const walter = await member('team-walter', 'team')
    await setUp('putSecret', { name: 'team/db', body: { data: { password: 'x' } }, ifMatch: 0 })
    const request = { method: 'GET', path: '/api/v1/secrets/team/db' }
    const narrowed = await approved(ask, request, { requester: wanda, approver: walter })
    const bound = { ...boundOf('team'), secretPrefix: 'team/a/' }
    await setUp('replaceOperator', { name: 'team-walter', ifMatch: 1, body: { name: 'team-walter', role: 'operator', bound } }) // prettier-ignore
    expect(fault(await send(purser, request, { token: wanda, approval: narrowed }))).toBe('403 approval_required')
    const own = await approved(ask, request, { requester: wanda, approver: ben })
    await setUp('replaceOperator', { name: 'team-wanda', ifMatch: 1, body: { name: 'team-wanda', role: 'operator', bound } }) // prettier-ignore
    // A replica that has not heard of the change yet answers 401.
    await expect
      .poll(async () => fault(await send(purser, request, { token: wanda, approval: own })))
      .toBe('404 not_found')
  })
})

describe('the list', () => {
  it('has pages and states, newest first', async () => {
    const { token } = await accountAt(`lister-${++names}`, 'admin')
    const ids: string[] = []
    for (let n = 0; n < 5; n++) {
      clock.advance(1)
      ids.unshift(await requested(ask, { method: 'POST', path: '/api/v1/log:open' }, token))
    }
    const listed: unknown[] = []
    let cursor: string | undefined
    do {
      const query = { state: 'pending', limit: '2', ...(cursor !== undefined && { cursor }) }
      const { body } = await ask('listApprovals', { query, token })
      listed.push(...(body['items'] as { id: string; operator: string }[]))
      cursor = (body['nextCursor'] as string | null) ?? undefined
    } while (cursor !== undefined)
    const own = (listed as { id: string; operator: string }[]).filter(({ operator }) => operator.startsWith('lister-'))
    expect(own.map(({ id }) => id)).toEqual(ids)
    for (const state of ['approved', 'denied', 'withdrawn', 'used', 'expired']) {
      const { body, status } = await ask('listApprovals', { query: { state }, token })
      expect(status).toBe(200)
      expect((body['items'] as { state: string }[]).every((item) => item.state === state)).toBe(true)
    }
  })
})

describe('where tokens need an approval', () => {
  it('an auditor cannot approve one, and an admin sets no password of another operator', async () => {
    const auditor = await accountAt(`au-${++names}`, 'auditor')
    clock.advance(1)
    const request = { method: 'POST', path: '/api/v1/tokens', body: { operator: 'ben' } }
    const id = await requested(ask, request, ada)
    expect(fault(await ask('approveRequest', { name: id, token: auditor.token }))).toBe('403 forbidden')
    const set = { name: 'ben', body: { password: 'seven swans on the lake' }, token: ada }
    expect(fault(await ask('setOperatorPassword', set))).toBe('403 forbidden')
    expect(fault(await ask('removeTotp', { name: 'ben', body: {}, token: ada }))).toMatch(
      /^(403 forbidden|409 conflict)$/,
    )
    expect((await ask('setOperatorPassword', { ...set, token: ben })).status).toBe(200)
  })
})
