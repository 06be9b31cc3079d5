/**
 * What a malicious operator tries. Each attempt is refused, or happens in plain sight: either way the log has one entry of
 * it, whose proof a third party verifies offline.
 */
import { verifyExport, verifyReceipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Token, account, entryFor } from '../support/accounts.ts'
import { ageEntries } from '../support/age-entries.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { generous } from '../support/log-traffic.ts'
import { password } from '../support/logins.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { boundOfShop, operatorOfShop } from '../support/shop.ts'
import { upstreamCa } from '../support/upstream-ca.ts'

/** The only admin, an operator and an admin of one team, an auditor, and a holder of a revoked token. */
type Who = 'admin' | 'operator' | 'lead' | 'auditor' | 'former'

type Misuse = [
  name: string,
  by: Who,
  /** What the reply says. */
  reply: string,
  /** The entry of the log. */
  entry: string,
  attempt: (token: string) => Promise<Answer>,
]

const shopEntry = (more: object = {}) => ({
  name: 'shop-web',
  attestor: 'lab',
  match: { 'oidc:sub': 'shop' },
  spiffeId: 'spiffe://example.org/lab/shop/web',
  ...more,
})
const join = { name: 'join-agent', attestor: 'join', spiffeId: 'spiffe://example.org/join/agent' }
const everyRoute = 'a look around'
const newPassword = 'nine geese on a pond'

describe('a malicious operator', () => {
  let purser: TestPurser
  let ask: Ask
  let tokens: Record<Who, Token>
  let bob: Token
  let blocked: string
  let placed: { epoch: number; index: number }
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', env: generous })
    ask = createAsk(purser)
    await registerLab(purser, await createIssuer())
    const [own] = (await ask('listTokens', { query: { operator: 'self' } })).body.items as [Token]
    tokens = {
      admin: { ...own, token: purser.admin },
      operator: await operatorOfShop(ask, 'shop-eve', 'operator'),
      lead: await operatorOfShop(ask, 'shop-lead', 'admin'),
      auditor: await account(ask, 'alan', 'auditor'),
      former: await account(ask, 'carl', 'operator'),
    }
    bob = await account(ask, 'bob', 'operator')
    for (const path of ['prod/payroll/key', 'prod/shop/key'])
      await ask('putSecret', { name: path, body: { data: { value: 'hunter2' } }, ifMatch: 0 })
    for (const body of [shopEntry(), join]) expect(fault(await ask('createWorkload', { body }))).toBe('201 ')
    const block = { spiffeId: 'spiffe://example.org/lab/web' }
    const revocation = await ask('createRevocation', { body: block, reason: 'a leak' })
    blocked = String(revocation.body.id)
    const [epoch = 0, index = 0] = String(revocation.headers.get('purser-log-index')).split('/').map(Number)
    placed = { epoch, index }
    await ask('revokeToken', { name: tokens.former.id })
  })
  afterAll(() => purser.stop())

  const newIssuer = async (): Promise<object> => {
    const { jwk, issuer } = await createIssuer('https://issuer.lab.example', 'mine')
    const { kind, audience } = (await ask('getAttestor', { name: 'lab' })).body
    return { name: 'lab', kind, issuer, audience, keys: { jwks: { keys: [jwk] } } }
  }
  const redact = (token: string, from: number, to: number) =>
    ask('redactEntries', { body: { epoch: 1, from, to, rule: 'tidying up' }, token, reason: 'tidying up' })

  const misuses: Misuse[] = [
    [
      'grants a workload of its own a secret of others',
      'operator',
      '403 forbidden /grants/secrets/0/paths/0',
      'workload.replace refused',
      (token) => {
        const body = shopEntry({ grants: { secrets: [{ paths: ['prod/payroll/key'], actions: ['read'] }] } })
        return ask('replaceWorkload', { name: 'shop-web', body, ifMatch: 1, token })
      },
    ],
    [
      'widens its own role',
      'operator',
      '403 forbidden',
      'operator.replace refused',
      (token) =>
        ask('replaceOperator', {
          name: 'shop-eve',
          body: { name: 'shop-eve', role: 'admin', bound: boundOfShop('lab') },
          ifMatch: 1,
          token,
        }),
    ],
    [
      'lifts its own bound',
      'lead',
      '403 forbidden /bound',
      'operator.replace refused',
      (token) =>
        ask('replaceOperator', {
          name: 'shop-lead',
          body: { name: 'shop-lead', role: 'admin', bound: 'everything' },
          ifMatch: 1,
          token,
        }),
    ],
    [
      'creates a token for another operator',
      'operator',
      '403 forbidden /operator',
      'token.create refused',
      (token) => ask('createToken', { body: { operator: 'bob' }, token }),
    ],
    [
      'creates a token beyond its role',
      'operator',
      '403 forbidden /role',
      'token.create refused',
      (token) => ask('createToken', { body: { role: 'admin' }, token }),
    ],
    [
      'disables the last admin',
      'admin',
      '409 conflict',
      'operator.disable refused',
      (token) => ask('disableOperator', { name: 'admin', token }),
    ],
    [
      'revokes the last token of an admin',
      'admin',
      '409 conflict',
      'token.revoke refused',
      (token) => ask('revokeToken', { name: tokens.admin.id, token }),
    ],
    [
      'revokes the token of another operator',
      'operator',
      '403 forbidden',
      'token.revoke refused',
      (token) => ask('revokeToken', { name: bob.id, token }),
    ],
    [
      'replaces the token of another operator, to learn the new one',
      'operator',
      '403 forbidden',
      'token.replace refused',
      (token) => ask('replaceToken', { name: bob.id, token }),
    ],
    [
      'deletes an attestor in use',
      'admin',
      '409 in_use',
      'attestor.delete refused',
      (token) => ask('deleteAttestor', { name: 'lab', ifMatch: 1, token }),
    ],
    [
      'reads a secret without a reason',
      'admin',
      '400 invalid_request /header/Purser-Reason',
      'secret.read refused',
      (token) => ask('readSecret', { name: 'prod/payroll/key', token }),
    ],
    [
      'reads a secret of another team',
      'operator',
      '404 not_found',
      'secret.read refused',
      (token) => ask('readSecret', { name: 'prod/payroll/key', token, reason: everyRoute }),
    ],
    [
      'changes the entry of another team',
      'operator',
      '422 impossible /name',
      'workload.replace refused',
      (token) => ask('replaceWorkload', { name: 'web', body: shopEntry({ name: 'web' }), ifMatch: 0, token }),
    ],
    [
      'deletes the entry of another team',
      'operator',
      '404 not_found',
      'workload.delete refused',
      (token) => ask('deleteWorkload', { name: 'web', ifMatch: 1, token }),
    ],
    [
      'creates a join token for the entry of another team',
      'operator',
      '422 impossible /workload',
      'join-token.create refused',
      (token) => ask('createJoinToken', { body: { workload: 'join-agent' }, token }),
    ],
    [
      'matches every workload of a cluster, and does not say so',
      'admin',
      '422 match_too_wide /match/oidc:sub',
      'workload.create refused',
      (token) => {
        const all = { name: 'all', match: { 'oidc:sub': '*' }, spiffeId: 'spiffe://example.org/lab/{oidc:sub}' }
        return ask('createWorkload', { body: shopEntry(all), token })
      },
    ],
    [
      'redacts entries of today',
      'admin',
      '409 conflict',
      'log.redact refused',
      async (token) => {
        const look = await ask('listOperators', { token })
        const [, index = 0] = String(look.headers.get('purser-log-index')).split('/').map(Number)
        return redact(token, index, index + 1)
      },
    ],
    [
      'redacts the entry of a revocation after the retention',
      'admin',
      '409 conflict',
      'log.redact refused',
      async (token) => {
        await ageEntries(purser.knex, 60)
        return redact(token, placed.index, placed.index + 1)
      },
    ],
    [
      'imports a CA of its own',
      'admin',
      '422 impossible',
      'key.import refused',
      (token) => {
        const { root } = upstreamCa()
        return ask('importCaChain', { body: { certificateChain: root, trustBundle: root }, token })
      },
    ],
    [
      'opens a new epoch that needs no review',
      'admin',
      '409 conflict',
      'log.open refused',
      (token) => ask('openLog', { token, reason: 'nothing to review' }),
    ],
    [
      'sets the password of another operator',
      'operator',
      '403 forbidden',
      'operator.password refused',
      (token) => ask('setOperatorPassword', { name: 'bob', body: { password: newPassword }, token }),
    ],
    [
      'removes the second factor of another operator',
      'operator',
      '403 forbidden',
      'operator.second-factor refused',
      (token) => ask('removeTotp', { name: 'bob', body: {}, token }),
    ],
    [
      'releases a block of another team',
      'operator',
      '404 not_found',
      'revocation.release refused',
      (token) => ask('releaseRevocation', { name: blocked, token, reason: 'it is fine' }),
    ],
    [
      'goes on with a revoked token',
      'former',
      '401 unauthenticated',
      'workload.read refused',
      (token) => ask('listWorkloads', { token }),
    ],
    [
      'repeats an idempotency key with another body',
      'admin',
      '422 idempotency_mismatch',
      'operator.create refused',
      async (token) => {
        const create = (name: string) =>
          ask('createOperator', { body: { name, role: 'operator' }, idempotencyKey: 'the-same', token })
        expect(fault(await create('harmless'))).toBe('201 ')
        return create('harmful')
      },
    ],
    [
      'reads the log, to see what is known of it',
      'operator',
      '403 forbidden',
      'audit.search refused',
      (token) => ask('searchEntries', { token }),
    ],
    [
      'points an attestor at an issuer of its own',
      'admin',
      '200 ',
      'attestor.replace granted',
      async (token) => ask('replaceAttestor', { name: 'lab', body: await newIssuer(), ifMatch: 1, token }),
    ],
    [
      'takes over the account of another operator',
      'admin',
      '200 ',
      'operator.password granted',
      (token) => ask('setOperatorPassword', { name: 'bob', body: { password }, token }),
    ],
    [
      'withdraws the keys of all workloads',
      'admin',
      '200 ',
      'key.create granted',
      (token) => purser.call('POST', '/api/v1/keys/jwt:rotate', { compromised: true }, { token }),
    ],
    [
      'takes the whole log away',
      'auditor',
      '200 ',
      'audit.export granted',
      (token) => purser.call('GET', '/api/v1/audit/export', undefined, { token }),
    ],
  ]

  const receipts: unknown[] = []

  it('tries thirty things', () => {
    expect(new Set(misuses.map(([name]) => name)).size).toBe(30)
  })

  it.each(misuses)('%s', async (_, by, reply, action, attempt) => {
    const answer = await attempt(tokens[by].token)
    expect(fault(answer)).toBe(reply)
    const entry = await entryFor(purser, answer)
    expect(`${entry?.action} ${entry?.outcome}`).toBe(action)
    const actor = { kind: 'operator', operator: tokens[by].operator, tokenId: tokens[by].id }
    expect(entry?.actor).toMatchObject(by === 'former' ? { kind: 'anonymous' } : actor)

    const query = { requestId: String(entry?.requestId), action: String(entry?.action) }
    const { items } = (await ask('searchEntries', { query, token: tokens.auditor.token })).body
    const [{ epoch, index }] = items as [{ epoch: number; index: number }]
    const place = `/api/v1/audit/entries/${epoch}/${index}`
    const { body } = await purser.call('GET', place, undefined, { token: tokens.auditor.token })
    const proven = verifyReceipt(body, { vkeys: purser.vkeys })
    expect(proven.entry).toMatchObject({ requestId: entry?.requestId, action: entry?.action, actor: entry?.actor })
    expect(() => verifyReceipt({ ...body, index: index + 1 }, { vkeys: purser.vkeys })).toThrow()
    receipts.push(body)
  })

  it('finds all of it in one export, which verifies offline', async () => {
    const { text } = await purser.call('GET', '/api/v1/audit/export', undefined, { token: tokens.auditor.token })
    expect(receipts).toHaveLength(misuses.length)
    const { ok, problems } = await verifyExport(text.trimEnd().split('\n'), { vkeys: purser.vkeys, receipts })
    expect({ ok, problems }).toEqual({ ok: true, problems: [] })
  })
})
