/** The database of an older server (test/fixtures/upgrade), loaded for the present server. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Receipt } from '@purser/sdk/verify'
import { type JWK, SignJWT, importJWK } from 'jose'
import { Client } from 'pg'
import { inject } from 'vitest'
import { ownerSql } from '../fixtures/upgrade/target-roles.ts'
import { type TestPurser, audience, startPurser } from './purser.ts'
import type { TargetServer } from './target.ts'

export type OldPod = {
  session: string
  testOnlyAccessToken: string
  lease?: string
  username?: string
  receipt: Receipt
}

type PodName = 'first' | 'second' | 'left' | 'blocked' | 'web' | 'paused' | 'api' | 'blockedApi'

export type Facts = {
  commit: string
  madeAt: string
  testOnlyRootKey: string
  testOnlyOperatorToken: string
  testOnlyIssuers: { issuer: string; header: { kid: string; alg: string }; privateKey: JWK }[]
  pods: Record<PodName, OldPod>
  revoked: { testOnlyJwt: string; serialNumber: string }
  redactions: { epoch: number; from: number; to: number }[]
  idempotent: { path: string; key: string; body: object }
  vkeys: string[]
  /** Signed heads that were published during the fixture. */
  heads: string[]
  /** The log-head file of the data directory. */
  logHead: string
}

const read = (name: string): string => readFileSync(new URL(`../fixtures/upgrade/${name}`, import.meta.url), 'utf8')

export const facts: Facts = JSON.parse(read('facts.json'))

/** A token of the fixture's cluster or laboratory that is valid at that time. */
export async function oldProof(claims: Record<string, unknown>, now: Date): Promise<{ kind: 'jwt'; token: string }> {
  const [lab] = facts.testOnlyIssuers
  const by = facts.testOnlyIssuers.find(({ issuer }) => issuer === claims['iss']) ?? lab
  if (!by) throw new Error('the fixture has no issuer')
  const iat = Math.floor(now.getTime() / 1000)
  const payload = { iss: by.issuer, aud: audience, iat, exp: iat + 600, jti: randomBytes(8).toString('hex'), ...claims }
  const key = await importJWK(by.privateKey, by.header.alg)
  return { kind: 'jwt', token: await new SignJWT(payload).setProtectedHeader(by.header).sign(key) }
}

export type OldDatabase = {
  url: string
  /** The environment of a server and of commands on its host. */
  env: Record<string, string>
  start(now?: () => Date): Promise<TestPurser>
  drop(): Promise<void>
}

/** @param target where the databases of the fixture are now, because a dump does not contain a target's address */
export async function loadOldDatabase(target: Pick<TargetServer, 'host' | 'port'>): Promise<OldDatabase> {
  const { url: server } = inject('postgres')
  const name = `purser_upgrade_${randomBytes(6).toString('hex')}`
  await query(server, `create database ${name}`)
  const location = new URL(server)
  location.pathname = `/${name}`
  const url = location.href
  await query(url, read('dump.sql'))
  const address = JSON.stringify({ host: target.host, port: target.port })
  await query(url, `update database set definition = definition || '${address}'`)
  const dataDir = mkdtempSync(join(tmpdir(), 'purser-upgrade-'))
  writeFileSync(join(dataDir, 'log-head'), facts.logHead)
  return {
    url,
    env: {
      DATABASE_URL: url,
      PURSER_TRUST_DOMAIN: 'example.org',
      PURSER_PUBLIC_URL: audience,
      PURSER_DATA_DIR: dataDir,
      PURSER_ROOT_KEY: facts.testOnlyRootKey,
    },
    start: (now) =>
      startPurser({
        ...(now && { now }),
        existing: { url, rootKey: facts.testOnlyRootKey, dataDir, admin: facts.testOnlyOperatorToken },
      }),
    async drop() {
      await query(server, `drop database if exists ${name} with (force)`)
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** The roles that the older server created at its target. */
export async function makeOldRoles(target: TargetServer): Promise<void> {
  for (const statement of ownerSql) await target.sql(statement)
  await target.sql(read('target.sql'))
}

/** Any number of statements. */
async function query(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
