import { randomBytes } from 'node:crypto'
import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { replaceBootstrapToken } from '../../src/actions/tokens/bootstrap.ts'
import type { Caller } from '../../src/authorize/caller.ts'
import { newToken } from '../../src/names/token.ts'
import { covers } from '../../src/operators/permissions.ts'
import { type TestActions, openActions } from '../support/actions.ts'

describe('logins at an OpenID provider without HTTP', () => {
  it('issue a nonce, refuse an unknown token, and create a session', async () => {
    const purser = await openActions({
      env: {
        PURSER_OPERATOR_LOGIN_ISSUER: 'https://login.example',
        PURSER_OPERATOR_LOGIN_CLIENT_ID: 'purser-cli',
        PURSER_OPERATOR_LOGIN_ROLES: 'operator:groups=operators',
      },
    })
    const { logins, operators } = purser.actions
    const context = purser.context()
    const issued = logins.issueNonce(purser.snapshot(), 'A'.repeat(43), purser.now())
    expect(issued.nonce.split('.')).toHaveLength(3)
    const verified = logins.verifyIdToken(purser.snapshot(), { idToken: 'a.b.c', verifier: 'v' }, purser.now())
    await expect(verified).rejects.toMatchObject({ code: 'unauthenticated' })
    await purser.change('operator.create', context, (tx, snapshot) =>
      operators.create(context, tx, snapshot, { name: 'ada', role: 'auditor' }),
    )
    const login = (role: 'admin' | 'operator') =>
      purser.change('operator.login', context, (tx, snapshot) =>
        logins.createByIdToken(context, tx, snapshot, {
          issuer: 'https://login.example',
          subject: 'ada',
          operator: 'ada',
          role,
          by: 'a mapping',
          nonce: { key: randomBytes(32), until: new Date(Date.now() + 60_000) },
        }),
      )
    expect((await login('admin')).result).toMatchObject({ operator: 'ada', role: 'auditor', login: true })
    await expect(login('operator')).rejects.toMatchObject({ code: 'unauthenticated' })
    await purser.stop()
  })
})

describe('operator actions without HTTP', () => {
  let purser: TestActions
  beforeAll(async () => {
    purser = await openActions()
  })
  afterAll(() => purser.stop())

  /** Without an admin no last admin is protected, so each step is possible. */
  it('create, read, replace, disable, enable and delete an operator', async () => {
    const { operators } = purser.actions
    const context = purser.context()
    const create = await purser.change('operator.create', context, (tx, snapshot) =>
      operators.create(context, tx, snapshot, { name: 'ada', role: 'auditor' }),
    )
    expect(create.result).toMatchObject({ name: 'ada', revision: 1 })
    expect(operators.get(purser.snapshot(), 'ada')).toEqual(create.result)
    expect([...operators.list(purser.snapshot())]).toEqual([create.result])
    const replace = await purser.change('operator.replace', context, (tx, snapshot) =>
      operators.replace(context, tx, snapshot, { definition: { name: 'ada', role: 'operator' }, expected: 1 }),
    )
    expect(replace.result).toMatchObject({ role: 'operator', revision: 2 })
    const disable = await purser.change('operator.disable', context, (tx, snapshot) =>
      operators.disable(context, tx, snapshot, 'ada'),
    )
    expect(disable.result).toMatchObject({ disabled: true, revision: 3 })
    const enable = await purser.change('operator.enable', context, (tx, snapshot) =>
      operators.enable(context, tx, snapshot, 'ada'),
    )
    expect(enable.result).toMatchObject({ disabled: false, revision: 4 })
    const remove = await purser.change('operator.delete', context, (tx, snapshot) =>
      operators.delete(context, tx, snapshot, { name: 'ada', expected: 4 }),
    )
    expect(remove.entry).toMatchObject({ action: 'operator.delete', change: { before: { name: 'ada' } } })
    expect([...operators.list(purser.snapshot())]).toEqual([])
  })

  it('create, replace and list tokens of an operator', async () => {
    const { operators, tokens } = purser.actions
    const context = purser.context()
    await purser.change('operator.create', context, (tx, snapshot) =>
      operators.create(context, tx, snapshot, { name: 'bea', role: 'operator' }),
    )
    const routes = ['GET /api/v1/workloads']
    const create = await purser.change('token.create', context, (tx, snapshot) =>
      tokens.create(context, tx, snapshot, { operator: 'bea', routes, lifetimeSeconds: 60 }),
    )
    expect(create.result).toMatchObject({ operator: 'bea', role: 'operator', routes })
    const replace = await purser.change('token.replace', context, (tx, snapshot) =>
      tokens.replace(context, tx, snapshot, { id: create.result.id }),
    )
    expect(replace.result).toMatchObject({ operator: 'bea', role: 'operator', routes })
    const tokenList = await tokens.list(context, purser.snapshot(), { operator: 'bea' })
    expect(new Map(tokenList.map(({ id, revokedAt }) => [id, revokedAt !== undefined]))).toEqual(
      new Map([
        [create.result.id, true],
        [replace.result.id, false],
      ]),
    )
    const workload = purser.context({ caller: { kind: 'anonymous' } satisfies Caller })
    const byWorkload = purser.change('token.create', workload, (tx, snapshot) =>
      tokens.create(workload, tx, snapshot, {}),
    )
    await expect(byWorkload).rejects.toMatchObject({ code: 'token_type' })
  })

  it('set a password, log in with it, and log out', async () => {
    const { operators, logins } = purser.actions
    const context = purser.context()
    await purser.change('operator.create', context, (tx, snapshot) =>
      operators.create(context, tx, snapshot, { name: 'cleo', role: 'auditor' }),
    )
    const password = 'seven swans on the lake'
    const hashed = await operators.hashPassword(context, purser.snapshot(), {
      operator: 'cleo',
      password,
      prefix: '192.0.2.1',
    })
    const set = await purser.change('operator.password', context, (tx, snapshot) =>
      operators.changePassword(context, tx, snapshot, hashed),
    )
    expect(set.result.passwordAt).toBeDefined()
    const login = await logins.verify(context, { operator: 'cleo', password, prefix: '192.0.2.1' })
    const create = await purser.change('operator.login', context, (tx, snapshot) =>
      logins.create(context, tx, snapshot, login),
    )
    expect(create.result).toMatchObject({ operator: 'cleo', role: 'auditor', login: true })
    const caller = { ...context.caller, operator: 'cleo', tokenId: create.result.id } as Caller
    const own = purser.context({ caller })
    const { secondFactors } = purser.actions
    const enrolled = await purser.change('operator.second-factor', own, (tx, snapshot) =>
      secondFactors.enrol(own, tx, snapshot, 'self'),
    )
    const totp = new TOTP({ secret: Secret.fromBase32(enrolled.result.secret) })
    const code = (seconds: number): string => totp.generate({ timestamp: own.time.getTime() + seconds * 1000 })
    const checked = await secondFactors.check(own, purser.snapshot(), { operator: 'self', code: code(0) })
    const confirmed = await purser.change('operator.second-factor', own, (tx, snapshot) =>
      secondFactors.confirm(own, tx, snapshot, checked),
    )
    expect(confirmed.result.recoveryCodes).toHaveLength(10)
    await expect(logins.verify(context, { operator: 'cleo', password, prefix: '192.0.2.1' })).rejects.toMatchObject({
      code: 'code_required',
    })
    const secondCheck = await secondFactors.check(own, purser.snapshot(), { operator: 'self', code: code(30) })
    await purser.change('operator.second-factor', own, (tx, snapshot) =>
      secondFactors.remove(own, tx, snapshot, secondCheck),
    )
    const end = await purser.change('operator.logout', own, (tx, snapshot) => logins.end(own, tx, snapshot, undefined))
    expect(end.entry).toMatchObject({ resource: { id: create.result.id, name: 'cleo' } })
    expect(purser.snapshot().apiTokens.get(create.result.id)?.revokedAt).toBeDefined()
  })

  it('restore the operator admin for the holder of a bootstrap token', async () => {
    const { operators, tokens } = purser.actions
    const context = purser.context()
    const exchange = async () => {
      const boot = newToken('boot', randomBytes)
      await purser.change('bootstrap.create', context, async (tx) => ({
        ...(await replaceBootstrapToken(tx, boot, context.time)),
        result: undefined,
      }))
      const bearer = purser.context({ caller: { kind: 'bootstrap', hash: boot.hash } })
      return purser.change('bootstrap.exchange', bearer, (tx, snapshot) =>
        tokens.exchangeBootstrap(bearer, tx, snapshot),
      )
    }
    await exchange()
    expect(operators.get(purser.snapshot(), 'admin')).toMatchObject({ role: 'admin', disabled: false, revision: 1 })
    // Another admin may do that.
    await purser.change('operator.create', context, (tx, snapshot) =>
      operators.create(context, tx, snapshot, { name: 'eve', role: 'admin' }),
    )
    await purser.change('token.create', context, (tx, snapshot) =>
      tokens.create(context, tx, snapshot, { operator: 'eve' }),
    )
    await purser.change('operator.replace', context, (tx, snapshot) =>
      operators.replace(context, tx, snapshot, { definition: { name: 'admin', role: 'auditor' }, expected: 1 }),
    )
    await purser.change('operator.disable', context, (tx, snapshot) =>
      operators.disable(context, tx, snapshot, 'admin'),
    )
    await exchange()
    expect(operators.get(purser.snapshot(), 'admin')).toMatchObject({ role: 'admin', disabled: false, revision: 4 })
    const row: { body: string } = await purser.knex('log_entry').orderBy('idx', 'desc').first('body')
    expect(JSON.parse(row.body)).toMatchObject({
      action: 'operator.replace',
      actor: { kind: 'bootstrap' },
      change: { before: { role: 'auditor', disabled: true }, after: { role: 'admin', disabled: false } },
    })
  })
})

it('have roles: admin includes both others, which exclude each other', () => {
  const roles = ['admin', 'operator', 'auditor'] as const
  const pairs = roles.flatMap((role) => roles.filter((other) => covers(role, other)).map((other) => `${role} ${other}`))
  expect(pairs).toEqual(['admin admin', 'admin operator', 'admin auditor', 'operator operator', 'auditor auditor'])
})
