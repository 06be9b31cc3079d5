/** `purser doctor` on broken Postgres databases: each fault is named in the first line. */
import { randomBytes } from 'node:crypto'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest'
import { migrations } from '../../migrations/index.ts'
import { judgeClock } from '../../src/cli/doctor/clock.ts'
import {
  judgeLatency,
  judgePooler,
  judgeServer,
  judgeStandbys,
  judgeEncryption,
} from '../../src/cli/doctor/postgres.ts'
import { some } from '../../src/cli/doctor/finding.ts'
import type { PostgresFacts } from '../../src/store/postgres-facts.ts'
import { type Env, diagnose, folder } from '../support/doctor.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { issueMany } from '../support/log-traffic.ts'
import { createPlace } from '../support/place.ts'
import { startTestServer } from '../support/test-server.ts'
import { cloneDatabase } from '../support/template.ts'
import { startTransactionPooler } from '../support/transaction-pooler.ts'

/** In the format of the finding. */
const allMissing = some(migrations.map(({ name }) => name))

let place: Awaited<ReturnType<typeof createPlace>>
/** The database of a server that has stopped. */
let whole: string

beforeAll(async () => {
  place = await createPlace('postgres')
  const purser = await place.start()
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  await issueMany(purser, issuer, 3)
  await purser.stop()
  whole = place.env().DATABASE_URL ?? ''
})
afterAll(() => place.remove())

const nameOf = (url: string): string => new URL(url).pathname.slice(1)

async function sql<Row extends object>(url: string, ...statements: string[]): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    let rows: Row[] = []
    for (const statement of statements) rows = (await client.query<Row>(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

/** A copy of that database for faults, with the settings of a server on it. */
async function copy(...statements: string[]): Promise<{ url: string; env: Env }> {
  const { url, drop } = await cloneDatabase(inject('postgres').url, nameOf(whole))
  onTestFinished(drop)
  await sql(url, ...statements)
  return { url, env: envOf(url) }
}
const envOf = (url: string): Env => ({ ...place.env(), PURSER_LISTEN: '127.0.0.1:0', DATABASE_URL: url })

/** A role with all privileges that serving needs. */
async function withRole(url: string, ...more: string[]): Promise<{ role: string; url: string }> {
  const role = `app_${randomBytes(5).toString('hex')}`
  await sql(
    url,
    `create role ${role} login password 'hunter2'`,
    `grant select, insert, update, delete on all tables in schema public to ${role}`,
    ...more.map((statement) => statement.replaceAll('ROLE', role)),
  )
  onTestFinished(async () => void (await sql(url, `drop owned by ${role} cascade`, `drop role ${role}`)))
  const own = new URL(url)
  own.username = role
  return { role, url: own.href }
}

describe('an unreachable database', () => {
  it('no server answers, and the password is not printed', async () => {
    const { code, first, out, err } = await diagnose(envOf('postgres://purser:hunter2@127.0.0.1:1/purser'))
    expect([code, first]).toEqual([1, 'FAIL  database  127.0.0.1:1 cannot be reached (ECONNREFUSED)'])
    expect(out).toContain('pg_isready -h 127.0.0.1 -p 1')
    expect(out + err).not.toContain('hunter2')
  })

  it('its name does not resolve', async () => {
    const { first } = await diagnose(envOf('postgres://purser@nowhere.invalid/purser'))
    expect(first).toMatch(/^FAIL  database  nowhere\.invalid cannot be reached \((?:ENOTFOUND|EAI_AGAIN)\)$/)
  })

  it('there is no such database, no such role, and no TLS', async () => {
    const { host } = new URL(inject('postgres').url)
    const at = (rest: string): Promise<{ first: string }> => diagnose(envOf(`postgres://${rest}`))
    expect((await at(`postgres@${host}/nobody_made_it`)).first).toBe(
      `FAIL  database  ${host} has no database nobody_made_it`,
    )
    expect((await at(`nobody_made_it@${host}/postgres`)).first).toBe(
      `FAIL  database  ${host} does not let role nobody_made_it in`,
    )
    expect((await at(`postgres@${host}/postgres?sslmode=verify-full`)).first).toBe(
      `FAIL  database  ${host} does not support TLS, but DATABASE_URL requires it`,
    )
  })
})

describe('a Postgres of the test', () => {
  let own: Awaited<ReturnType<typeof startTestServer>>
  beforeAll(async () => {
    // Every role except `postgres` needs a password here.
    const file = join('/tmp', `purser-hba-${randomBytes(5).toString('hex')}`)
    await writeFile(file, 'host all postgres 127.0.0.1/32 trust\nhost replication postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n') // prettier-ignore
    await chmod(file, 0o644)
    const settings = { fsync: 'off', full_page_writes: 'off', wal_level: 'replica', max_wal_senders: '2' }
    own = await startTestServer({ settings: { ...settings, hba_file: file } })
  })
  afterAll(() => own.stop())

  it('with fsync=off', async () => {
    const { first, out } = await diagnose(envOf(own.url))
    expect(first).toBe('FAIL  database  fsync is off')
    expect(out).toContain('alter system set fsync = on')
    expect(out).toMatch(/\nwarn +database +full_page_writes is off\n/)
    expect(out.replaceAll(/ +/g, ' ')).toContain(`\nFAIL schema the schema lacks ${allMissing}\n`)
  })

  it('that refuses the password', async () => {
    await sql(own.url, `create role app login password 'hunter2'`)
    const url = own.url.replace('postgres@', 'app:swordfish@')
    const { first, out } = await diagnose(envOf(url))
    expect(first).toBe(`FAIL  database  ${new URL(url).host} refuses the password of role app`)
    expect(out).not.toContain('swordfish')
    const withoutPassword = own.url.replace('postgres@', 'app@')
    expect((await diagnose(envOf(withoutPassword))).first).toContain('refuses the password of role app')
  })

  it('whose standby is asynchronous', async () => {
    const standby = new Client({ connectionString: own.url, replication: 'true', application_name: 'spare' } as object)
    await standby.connect()
    const { out } = await diagnose(envOf(own.url))
    await standby.end()
    expect(out).toMatch(/\nwarn +database +its standby is asynchronous \(spare\)\n +why .*without an entry\n/)
  })
})

describe('the schema', () => {
  it('missing', async () => {
    const { url, drop } = await cloneDatabase(inject('postgres').url, 'template0')
    onTestFinished(drop)
    const { code, first, out } = await diagnose(envOf(url))
    expect([code, first]).toEqual([1, `FAIL  schema  the schema lacks ${allMissing}`])
    expect(out).toContain('\n         do   purser migrate\n')
  })

  it('behind', async () => {
    const { env } = await copy(`delete from schema_migration`)
    expect((await diagnose(env)).first).toBe(`FAIL  schema  the schema lacks ${allMissing}`)
  })

  const future = `insert into schema_migration (name, batch, migration_time) values ('003-future', 2, now())`

  it('newer than this Purser', async () => {
    const { env } = await copy(future, `update schema_info set oldest_binary = '003-future'`)
    const { first } = await diagnose(env)
    expect(first).toBe(
      'FAIL  schema  the database needs a Purser that knows migration 003-future; this version is too old: install a newer one',
    )
  })

  it('newer in a way that this Purser supports is a note', async () => {
    const { env } = await copy(future)
    const { code, out } = await diagnose(env)
    expect([code, out]).toEqual([0, expect.stringMatching(/note +schema +a newer Purser applied 003-future/)])
  })

  it('of a log whose guard was dropped, or switched off', async () => {
    const dropped = await copy('drop trigger log_entry_delete on log_entry')
    expect((await diagnose(dropped.env)).first).toBe(
      'FAIL  schema  the trigger log_entry_delete on log_entry is missing',
    )
    const copied = await copy('alter table log_tile disable trigger log_tile_change')
    const { first, out } = await diagnose(copied.env)
    expect(first).toBe('FAIL  schema  the trigger log_tile_change on log_tile is disabled')
    expect(out).toContain('alter table log_tile enable trigger log_tile_change')
  })

  it('of another trust domain, or issuer', async () => {
    const { env } = await copy()
    const { first } = await diagnose({ ...env, PURSER_TRUST_DOMAIN: 'other.example' })
    expect(first).toBe('FAIL  schema  the database belongs to trust domain example.org, not to other.example')
    const issuer = await diagnose({ ...env, PURSER_PUBLIC_URL: 'https://other.example' })
    expect(issuer.first).toContain("FAIL  schema  the database's issuer is https://purser.example.org, not ")
  })
})

describe('the role', () => {
  it('that may not insert into the log', async () => {
    const { url, env } = await copy()
    const own = await withRole(url, 'revoke insert on log_entry, claim from ROLE')
    const { code, first, out } = await diagnose({ ...env, DATABASE_URL: own.url })
    expect([code, first]).toEqual([1, `FAIL  role  role ${own.role} may not insert into log_entry, claim`])
    expect(out).toContain(`grant insert on log_entry, claim to "${own.role}"`)
  })

  it('that may not read the keys: the checks that need them are left out, by name', async () => {
    const { url, env } = await copy()
    const own = await withRole(url, 'revoke select on signing_key from ROLE')
    const { first, out } = await diagnose({ ...env, DATABASE_URL: own.url })
    expect(first).toBe(`FAIL  role  role ${own.role} may not read signing_key`)
    expect(out).toMatch(/\nskipped +keys +the role lacks the privilege to read what this check needs\n/)
  })

  it('with exactly the privileges that a server needs has no finding', async () => {
    const { url, env } = await copy()
    const own = await withRole(url)
    const { code, out } = await diagnose({ ...env, DATABASE_URL: own.url })
    expect(out).toMatch(/\nok +role +app_\w+ has the privileges it needs, and does not own the log\n/)
    expect(out).not.toMatch(/^(?:FAIL|warn|skipped)/m)
    expect(code).toBe(0)
  })

  it('that owns the log, or is a superuser, causes a warning', async () => {
    const { url, env } = await copy()
    const own = await withRole(url, 'alter table log_entry owner to ROLE')
    const { code, first } = await diagnose({ ...env, DATABASE_URL: own.url })
    expect([code, first]).toEqual([0, `warn  role  role ${own.role} owns the log's tables`])
    await sql(url, 'alter table log_entry owner to postgres')
    expect((await diagnose(env)).first).toBe('warn  role  role postgres is a superuser')
    expect((await diagnose(env, '--strict')).code).toBe(1)
  })
})

describe('the keys', () => {
  it('under another root key', async () => {
    const { env } = await copy()
    const { first } = await diagnose({ ...env, PURSER_ROOT_KEY: Buffer.alloc(32, 7).toString('base64') })
    expect(first).toMatch(/^FAIL  root key  it belongs to another database: this is local-\w+, local-\w+ is needed$/)
  })

  it('whose rotation is overdue', async () => {
    const { env } = await copy(`update signing_key set retire_at = now() - interval '1 hour' where kind = 'jwt-es256'`)
    const { code, first, out } = await diagnose(env)
    expect([code, first]).toEqual([1, expect.stringMatching(/^FAIL  keys  rotation of jwt-es256 is overdue since /)])
    expect(out).toContain('start a server')
  })

  it('without the next one', async () => {
    const { env } = await copy(`update signing_key set retire_at = now() + interval '1 hour' where kind = 'issuing-ca'`)
    expect((await diagnose(env)).out).toMatch(/^warn +keys +the next issuing-ca is missing: it was due /m)
  })

  const imported = `update signing_key set issuer_key_id = null, retire_at = now() + interval 'RETIRE', gone_at = now() + interval 'GONE' where kind = 'issuing-ca'`
  const ending = (retire: string, end: string): string => imported.replace('RETIRE', retire).replace('GONE', end)

  it('of an imported chain that has ended, or ends soon', async () => {
    const expired = await copy(ending('-2 hours', '-1 hour'))
    expect((await diagnose(expired.env)).first).toMatch(
      /^FAIL  keys  the imported issuing-ca has expired: the last one ended /,
    )
    const expiring = await copy(ending('1 hour', '2 hours'))
    const { code, out } = await diagnose(expiring.env)
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(/^warn +keys +the imported issuing-ca ends \S+ \S+, in 0 days\n/m),
    ])
    expect(out).toContain('purser keys csr')
  })

  it('with a row that was changed in the database', async () => {
    const { env } = await copy(
      `update signing_key set wrapped = overlay(wrapped placing '\\x00'::bytea from 20) where kind = 'mac'`,
    )
    expect((await diagnose(env)).first).toMatch(/^FAIL  keys  the private key of mac \S+ does not decrypt$/)
  })
})

describe('the log', () => {
  it('that is behind the head outside the database', async () => {
    const { url, env } = await copy()
    // The server continues elsewhere, and its head in the data directory is newer than this copy.
    const dataDir = folder()
    const head = await readFile(join(place.dataDir, 'log-head'), 'utf8')
    await writeFile(join(dataDir, 'log-head'), head, { mode: 0o600 })
    await sql(url, 'alter table log_entry disable trigger all', 'delete from log_entry where idx >= 9', 'update log_head set size = 9', 'alter table log_entry enable trigger all') // prettier-ignore
    const { code, first, out } = await diagnose({ ...env, PURSER_DATA_DIR: dataDir })
    expect([code, first]).toEqual([
      1,
      expect.stringMatching(/^FAIL  log  \S+log-head knows a log of \d+ entries, the database has 9$/),
    ])
    expect(out).toContain('purser log new-epoch')
  })

  it('that was rewritten, or has a gap', async () => {
    const rewritten = await copy('alter table log_entry disable trigger all', `update log_entry set leaf = sha256('x') where idx = 3`, 'alter table log_entry enable trigger all') // prettier-ignore
    expect((await diagnose(rewritten.env)).first).toMatch(/^FAIL  log  \S+log-head knows another log: /)
    const gap = await copy('alter table log_entry disable trigger all', 'delete from log_entry where idx = 3', 'alter table log_entry enable trigger all') // prettier-ignore
    expect((await diagnose(gap.env)).first).toMatch(/^FAIL  log  entries are missing among the \d+ of epoch 1$/)
  })

  it('whose outside copy cannot be read', async () => {
    const { env } = await copy()
    const { first } = await diagnose({ ...env, PURSER_LOG_HEAD_URL: 'https://127.0.0.1:1/head' })
    expect(first).toBe('FAIL  log  cannot read the head in PURSER_LOG_HEAD_URL (unreachable), which may be newer')
  })

  it('while issuing is closed', async () => {
    const { env } = await copy('update log_head set issuing = false')
    const { first, out } = await diagnose(env)
    expect(first).toBe('FAIL  log  issuing is closed since epoch 1 began')
    expect(out).toContain('purser log open --reason')
  })
})

it('a pooler in transaction mode', async () => {
  const { url, env } = await copy()
  const pooler = await startTransactionPooler(url)
  onTestFinished(pooler.stop)
  const { first, out } = await diagnose({ ...env, DATABASE_URL: pooler.url })
  expect(first).toBe('FAIL  database  a connection pooler in transaction mode is in front of Postgres')
  expect(out).toContain('pool_mode = session')
})

it('beside a server that runs and is not ready', async () => {
  const place = await createPlace('postgres')
  onTestFinished(() => place.remove())
  const purser = await place.start()
  onTestFinished(() => purser.stop())
  const where = new URL(purser.url).host
  const env = { ...place.env(), PURSER_LISTEN: where, PURSER_INSECURE_HTTP: 'loopback' }
  expect((await diagnose(env)).out).toMatch(/^ok +listener +Purser \S+ answers on \S+, and is ready$/m)

  await purser.knex('log_head').update({ issuing: false })
  while ((await purser.call('GET', '/readyz')).status === 200) await setTimeout(100)
  const { code, first, out } = await diagnose(env)
  expect([code, first]).toEqual([1, `FAIL  listener  the Purser on ${where} is not ready: issuing`])
  expect(out).toMatch(/^FAIL +log +issuing is closed since epoch 1 began$/m)
})

describe('findings that no test database can cause', () => {
  const facts: PostgresFacts = {
    version: '18.4',
    versionNumber: 180_004,
    fsync: true,
    fullPageWrites: true,
    standby: false,
    readOnly: false,
    waitsFor: '',
    standbys: [],
    encrypted: false,
    role: 'app',
    superuser: false,
    ownsLog: false,
  }
  const textsOf = (findings: { level: string; what: string }[]): string[] =>
    findings.map(({ level, what }) => `${level} ${what}`)

  it('an old version, a standby, a read-only role', () => {
    expect(judgeServer(facts)).toEqual([])
    const old = { ...facts, version: '13.9', versionNumber: 130_009, standby: true, readOnly: true }
    expect(textsOf(judgeServer(old))).toEqual([
      'fail this is PostgreSQL 13.9, but 14 or newer is needed',
      'fail this is a standby, which refuses writes',
      'fail default_transaction_read_only is on for this role',
    ])
  })

  it('standbys that commits wait for, and a missing standby', () => {
    const waitsFor = 'ANY 1 (*)'
    const judged = (...syncs: (string | null)[]): string[] =>
      textsOf(judgeStandbys({ ...facts, waitsFor, standbys: syncs.map((sync) => ({ name: 'a', sync })) }))
    expect(judged('quorum', 'async')).toEqual([])
    expect(judged(null)).toEqual([])
    expect(judged()).toEqual(['fail commits wait for ANY 1 (*), but no such standby is connected'])
  })

  it('a way through a network', () => {
    const way = (rest: string, encrypted: boolean): string[] =>
      textsOf(judgeEncryption({ encrypted }, new URL(`postgres://a@${rest}`)))
    expect(way('127.0.0.1/x', false)).toEqual([])
    expect(way('localhost/x?host=/run/postgresql', false)).toEqual([])
    expect(way('db.example.org/x', false)).toEqual(['warn the connection to db.example.org is not encrypted'])
    expect(way('db.example.org/x?sslmode=verify-full', true)).toEqual([])
    expect(way('db.example.org/x?sslmode=no-verify', true)).toHaveLength(1)
  })

  it('a distant database, and clocks that differ', () => {
    expect(judgeLatency(0.4)).toEqual([])
    expect(textsOf(judgeLatency(12))).toEqual(['note a round trip takes 12 ms'])
    expect(textsOf(judgeLatency(80))).toEqual(['warn a round trip takes 80 ms'])
    expect(judgePooler([1, 2])).toEqual([])
    const clock = (ahead: number, uncertainty = 0): string[] =>
      textsOf(judgeClock([{ where: 'the database', ahead, uncertainty }]))
    expect(clock(1_500)).toEqual(['ok agrees with the database'])
    expect(clock(2_500, 1_000)).toEqual(['ok agrees with the database'])
    expect(clock(5_000)).toEqual(['warn this host is 5 s behind the database'])
    expect(clock(-60_000)).toEqual(['fail this host is 60 s ahead of the database'])
  })
})
