/** Operators in a database of the released version, and the behaviour of its servers beside this one. */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Migration, migrations } from '../../migrations/index.ts'
import { newToken } from '../../src/names/token.ts'
import { migrate } from '../../src/store/migrate.ts'
import { account, tokenFor } from '../support/accounts.ts'
import { describeBothStores } from '../support/database.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

/** As the released version inserts it, which knows no further columns. */
function releasedRow(operator: string, role: string, minutesAgo = 1) {
  const { id, hash, token } = newToken('api', randomBytes)
  const created_at = new Date(Date.now() - minutesAgo * 60_000)
  return { token, row: { id, hash, operator, role, created_at, expires_at: new Date(Date.now() + 3_600_000) } }
}

describeBothStores('the migration', (open) => {
  it('creates an operator for each name that has tokens, with the role of its newest token', async () => {
    const db = await open()
    await db.knex.raw('drop schema public cascade')
    await db.knex.raw('create schema public')
    const released = migrations.slice(0, migrations.findIndex(({ name }) => name === '006-sessions') + 1)
    await migrate(db, released)
    await db.knex('log_head').insert({ instance_id: randomUUID(), trust_domain: 'x', issuer: 'y', epoch: 1 })
    const tokens = [releasedRow('admin', 'admin', 9), releasedRow('admin', 'admin'), releasedRow('ada', 'auditor')]
    await db.knex('api_token').insert(tokens.map(({ row }) => row))
    await migrate(db)
    const rows = await db.knex('operator').orderBy('name').select('name', 'role', 'disabled', 'revision', 'created_at')
    expect(rows).toEqual([
      { name: 'ada', role: 'auditor', disabled: false, revision: 1, created_at: tokens[2]?.row.created_at },
      { name: 'admin', role: 'admin', disabled: false, revision: 1, created_at: tokens[0]?.row.created_at },
    ])
    expect(await db.knex('api_token').whereNotNull('own_role')).toEqual([])
  })

  it('can be applied before or after one of a lower number that another branch adds', async () => {
    const db = await open()
    await db.knex.raw('drop schema public cascade')
    await db.knex.raw('create schema public')
    await migrate(db)
    const laterMigration: Migration = {
      name: '008-late',
      up: async (knex) => void (await knex.raw('create table late (id int)')),
    }
    const at = migrations.findIndex(({ name }) => name === '009-operators')
    const list = [...migrations.slice(0, at), laterMigration, ...migrations.slice(at)]
    expect(await migrate(db, list)).toEqual(['008-late'])
    expect(await migrate(db, list)).toEqual([])
  })
})

describe('beside servers of the released version', () => {
  let purser: TestPurser
  let ask: Ask
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
    ask = createAsk(purser)
  })
  afterAll(() => purser.stop())

  /** The column by which those servers judge a token. */
  const roleOf = async (id: string): Promise<unknown> =>
    (await purser.knex('api_token').where({ id }).first('role')).role

  /** As such a server exchanges a bootstrap token. */
  async function insertAsReleased(operator: string) {
    const { token, row } = releasedRow(operator, 'admin')
    await purser.knex.transaction(async (tx) => {
      await tx('api_token').insert(row)
      const [head]: { revision: string }[] = await tx('log_head').forUpdate().select('revision')
      const revision = Number(head?.revision) + 1
      await tx('api_token').where({ id: row.id }).update({ changed: revision })
      await tx('log_head').update({ revision })
    })
    return { token, id: row.id }
  }

  it('accepts the admin token that one of them issues', async () => {
    const { token } = await insertAsReleased('admin')
    await expect.poll(() => ask('whoAmI', { token }).then(fault), { timeout: 1000 }).toBe('200 ')
  })

  it('accepts it also when this server has removed the operator admin, which is then a new one', async () => {
    const other = await account(ask, 'eve', 'admin')
    const first = (await ask('getOperator', { name: 'admin' })).body
    expect(fault(await ask('deleteOperator', { name: 'admin', ifMatch: 1, token: other.token }))).toBe('204 ')
    const { token, id } = await insertAsReleased('admin')
    await expect.poll(() => ask('whoAmI', { token }).then(fault), { timeout: 1000 }).toBe('200 ')
    expect((await ask('getOperator', { name: 'admin', token })).body.id).not.toBe(first.id)
    expect(fault(await ask('whoAmI'))).toBe('401 unauthenticated')
    expect(await roleOf(id)).toBe('admin')
    purser.admin = token
    ask = createAsk(purser)
  })

  it('lets them accept only tokens that they can judge', async () => {
    const plain = await account(ask, 'ada', 'operator')
    const limited = await tokenFor(ask, 'ada', { routes: ['GET /api/v1/workloads'] })
    expect([await roleOf(plain.id), await roleOf(limited.id)]).toEqual(['operator', 'none'])
    await ask('replaceOperator', { name: 'ada', body: { name: 'ada', role: 'auditor' }, ifMatch: 1 })
    expect(await roleOf(plain.id)).toBe('none')
    await ask('replaceOperator', { name: 'ada', body: { name: 'ada', role: 'admin' }, ifMatch: 2 })
    expect([await roleOf(plain.id), await roleOf(limited.id)]).toEqual(['operator', 'none'])
    await ask('disableOperator', { name: 'ada' })
    expect(await roleOf(plain.id)).toBe('none')
    await ask('enableOperator', { name: 'ada' })
    expect(await roleOf(plain.id)).toBe('operator')
    expect((await ask('whoAmI', { token: plain.token })).body).toMatchObject({
      role: 'operator',
      operatorRole: 'admin',
    })
  })

  it('judges their tokens by the operator too', async () => {
    const { token, id } = await insertAsReleased('pat')
    await expect.poll(() => ask('whoAmI', { token }).then(fault), { timeout: 1000 }).toBe('200 ')
    await ask('disableOperator', { name: 'pat' })
    expect([fault(await ask('whoAmI', { token })), await roleOf(id)]).toEqual(['401 unauthenticated', 'none'])
    await ask('enableOperator', { name: 'pat' })
    expect((await ask('whoAmI', { token })).body).toMatchObject({ role: 'admin' })
  })
})
