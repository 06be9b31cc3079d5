/** Blocks and sessions of the previous version: its key of an instance includes the workload entry. */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openKeyring } from '../../src/keys/keyring.ts'
import { createKeys } from '../../src/keys/keys.ts'
import { openRootKey } from '../../src/keys/root-key.ts'
import { readWrappingKeys } from '../../src/store/keys.ts'
import { readHead } from '../../src/store/log.ts'
import { migrate } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { type KeyRecord, tables } from '../../src/store/snapshot-tables.ts'
import type { KeyRow } from '../../src/store/rows.ts'
import { testDatabase } from '../support/database.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { entryOf } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

const rootKey = Buffer.alloc(32, 7).toString('base64')
const web = 'spiffe://example.org/lab/web'
type Database = Awaited<ReturnType<typeof testDatabase>>

let database: Database
let purser: TestPurser
let issuer: Issuer
let sessions: Record<'blocked' | 'removed' | 'quiet' | 'busy', string>

const attest = async (jti: string, workload?: string): Promise<Answer> => {
  const proof = { kind: 'jwt', token: await issuer.token({ jti }) }
  return purser.call('POST', '/api/v1/credentials', { proof, accessToken: {}, ...(workload && { workload }) })
}
const reasonOf = async (answer: Answer): Promise<unknown> =>
  answer.status === 200 ? 'granted' : (await entryOf(purser, answer))?.reason
const register = (name: string): Promise<unknown> =>
  purser.asAdmin('POST', '/api/v1/workloads', {
    name,
    attestor: 'lab',
    match: { 'oidc:sub': 'web' },
    spiffeId: `${web}-${name}`,
    maxSessionSeconds: 7200,
  })

async function macKey(db: Parameters<typeof readHead>[0]) {
  const head = await readHead(db)
  const opened = openRootKey({ kind: 'value', value: rootKey })
  const keyring = await openKeyring(opened, head?.instanceId ?? '', await readWrappingKeys(db))
  const records: KeyRecord[] = await db('signing_key')
  const rows = records.map((record) => tables.keys.read(record)[1]).filter((row): row is KeyRow => row !== undefined)
  return createKeys(keyring).signing({ keys: new Map(rows.map((row) => [row.id, row])) }, 'mac', new Date()).key
}

/** Rewrites the rows in the format of the previous version, and undoes the migration. */
async function takeBack(): Promise<void> {
  const db = openPostgres({ url: database.url })
  const key = await macKey(db.knex)
  const attestor: { id: string } = await db.knex('attestor').where('name', 'lab').first('id')
  for (const [jti, session] of Object.entries(sessions)) {
    const row: { instance: Buffer; workload_id: string; expires_at: Date } = await db
      .knex('session')
      .where({ id: session })
      .first()
    const fields = ['instance', attestor.id, row.workload_id, 'web', jti]
    const instance = createHmac('sha256', key).update(JSON.stringify(fields)).digest()
    await db.knex('session').where({ id: session }).update({ instance })
    await db
      .knex('block')
      .where({ kind: 'instance', value: row.instance.toString('hex') })
      .update({ value: instance.toString('hex'), until: row.expires_at })
  }
  await db.knex.raw('alter table session drop column entry_keyed')
  await db.knex.raw('alter table block drop column session_id, drop column workload_id')
  await db.knex('schema_migration').where({ name: '003-revocation' }).delete()
  expect(await migrate(db)).toEqual(['003-revocation'])
  await db.close()
}

beforeAll(async () => {
  database = await testDatabase()
  const existing = { url: database.url, rootKey, admin: '' }
  purser = await startPurser({ existing })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  await register('brief')
  sessions = {
    blocked: ((await attest('blocked', 'web')).body as { session: { id: string } }).session.id,
    removed: ((await attest('removed', 'brief')).body as { session: { id: string } }).session.id,
    quiet: ((await attest('quiet', 'web')).body as { session: { id: string } }).session.id,
    busy: ((await attest('busy', 'web')).body as { session: { id: string } }).session.id,
  }
  for (const session of [sessions.blocked, sessions.removed])
    await purser.asAdmin('POST', '/api/v1/revocations', { session })
  await purser.asAdmin('DELETE', '/api/v1/workloads/brief', undefined, { 'if-match': '"1"' })
  await purser.stop()
  await takeBack()
  purser = await startPurser({
    env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: '6000' },
    existing: { ...existing, admin: purser.admin },
  })
})
afterAll(async () => {
  await purser.stop()
  await database.drop()
})

it('keeps a blocked instance out, under its entry and under others', async () => {
  expect(await reasonOf(await attest('blocked'))).toBe('blocked')
  expect(await reasonOf(await attest('removed'))).toBe('blocked')
  await register('second')
  expect(await reasonOf(await attest('blocked', 'second'))).toBe('blocked')
  expect(await reasonOf(await attest('removed', 'second'))).toBe('blocked')
  expect(await reasonOf(await attest('free', 'second'))).toBe('granted')
})

it('lists a block with its session until it is released', async () => {
  const { body } = await purser.asAdmin('GET', '/api/v1/revocations')
  const items = body.items as { id: string; session: string }[]
  expect(items.map((block) => block.session).toSorted()).toEqual([sessions.blocked, sessions.removed].toSorted())
  const id = items.find((block) => block.session === sessions.blocked)?.id ?? ''
  await purser.asAdmin('POST', `/api/v1/revocations/${id}:release`, undefined, { 'purser-reason': 'rebuilt' })
  expect(await reasonOf(await attest('blocked', 'web'))).toBe('granted')
})

it('continues a session, and blocks its instance if it is revoked after the upgrade', async () => {
  expect((await attest('busy', 'web')).body).toMatchObject({ session: { id: sessions.busy } })
  for (const jti of ['busy', 'quiet'] as const) {
    await purser.asAdmin('POST', '/api/v1/revocations', { session: sessions[jti] })
    expect(await reasonOf(await attest(jti, 'web'))).toBe('blocked')
    expect(await reasonOf(await attest(jti, 'second'))).toBe('blocked')
  }
})
