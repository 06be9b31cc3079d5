import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ConfigError, describeConfig } from '../../src/config.ts'
import { settings } from '../../src/config/names.ts'
import { faults, min, read, readStore, rootKey } from './read.ts'

const postgres = {
  ...min,
  DATABASE_URL: 'postgres://purser:hunter2@db.example:5432/purser?password=hunter3',
  PURSER_ROOT_KEY: rootKey,
}

test('a trust domain suffices for a trial', () => {
  expect(read({ env: min })).toMatchObject({
    trustDomain: 'example.org',
    publicUrl: 'https://localhost:8443',
    audiences: ['https://localhost:8443'],
    listen: { host: '127.0.0.1', port: 8443 },
    tls: { kind: 'own-ca', names: ['localhost', '127.0.0.1', '::1'] },
    database: { kind: 'embedded', migrate: 'auto' },
    rootKey: { kind: 'file', path: './purser-data/root-key', create: true },
    workers: 1,
    warnings: [],
  })
})

test('every fault is reported at once, over all sources and between settings', () => {
  const env = {
    PURSER_LISTEN: '0.0.0.0:8443',
    PURSER_WORKERS: 'many',
    PURSER_TLS_CERT_FILE: '/tls.pem',
    PURSER_LSITEN: 'x',
    DATABASE_URL: 'mysql://h/d',
    PURSER_KEY_PUBLISH_SECONDS: '60',
  }
  expect(faults({ env, yaml: 'log: { level: loud }' }).map((line) => line.split(':')[0])).toEqual([
    'PURSER_LSITEN',
    'DATABASE_URL',
    '/etc/purser.yaml',
    'PURSER_WORKERS',
    'PURSER_TRUST_DOMAIN',
    'PURSER_PUBLIC_URL',
    'PURSER_TLS_KEY_FILE',
    'PURSER_ROOT_KEY_FILE',
    'PURSER_KEY_PUBLISH_SECONDS',
  ])
})

test.each<[string, Record<string, string>, string]>([
  ['no trust domain', { PURSER_TRUST_DOMAIN: '' }, 'PURSER_TRUST_DOMAIN'],
  ['a trust domain as an ID', { PURSER_TRUST_DOMAIN: 'spiffe://example.org' }, 'without spiffe://'],
  ['a trust domain in capitals', { PURSER_TRUST_DOMAIN: 'Example.org' }, 'must be 1 to 255'],
  ['a trust domain of 256 bytes', { PURSER_TRUST_DOMAIN: 'a'.repeat(256) }, 'must be 1 to 255'],
  ['a port alone', { PURSER_LISTEN: '8443' }, 'must be host:port'],
  ['no host', { PURSER_LISTEN: ':8443' }, 'must be host:port'],
  ['a port too high', { PURSER_LISTEN: '127.0.0.1:65536' }, 'must be host:port'],
  ['IPv6 without brackets', { PURSER_LISTEN: '::1:8443' }, 'must be host:port'],
  ['an invalid address', { PURSER_LISTEN: '1.2.3.4.5:8443' }, 'must be host:port'],
  ['two listeners on one port', { PURSER_METRICS_LISTEN: '127.0.0.1:8443' }, 'two listeners'],
  ['an issuer over HTTP', { PURSER_PUBLIC_URL: 'http://id.example.com' }, 'must be an https URL'],
  ['an issuer with a slash', { PURSER_PUBLIC_URL: 'https://id.example.com/' }, 'must not end in a slash'],
  ['an issuer with a query', { PURSER_PUBLIC_URL: 'https://id.example.com?a' }, 'neither query nor fragment'],
  [
    'an issuer with an empty fragment',
    { PURSER_PUBLIC_URL: 'https://id.example.com/a#' },
    'neither query nor fragment',
  ],
  ['an issuer with a user', { PURSER_PUBLIC_URL: 'https://me@id.example.com' }, 'user or password'],
  ['an issuer in capitals', { PURSER_PUBLIC_URL: 'https://ID.example.com' }, 'is written https://id.example.com'],
  [
    'an issuer with the default port',
    { PURSER_PUBLIC_URL: 'https://id.example.com:443/x' },
    'is written https://id.example.com/x',
  ],
  [
    'an issuer with dot segments',
    { PURSER_PUBLIC_URL: 'https://id.example.com/a/../b' },
    'is written https://id.example.com/b',
  ],
  ['no public URL where others listen', { PURSER_LISTEN: '0.0.0.0:8443' }, 'PURSER_PUBLIC_URL: is required'],
  ['a certificate without a key', { PURSER_TLS_CERT_FILE: '/c' }, 'PURSER_TLS_KEY_FILE: is missing'],
  ['a key without a certificate', { PURSER_TLS_KEY_FILE: '/k' }, 'PURSER_TLS_CERT_FILE: is missing'],
  [
    'names for a configured certificate',
    { PURSER_TLS_CERT_FILE: '/c', PURSER_TLS_KEY_FILE: '/k', PURSER_TLS_NAMES: 'a' },
    'PURSER_TLS_NAMES',
  ],
  ['a wildcard name', { PURSER_TLS_NAMES: '*.example.org' }, 'lower-case host name'],
  [
    'plain HTTP for others',
    { PURSER_INSECURE_HTTP: 'loopback', PURSER_LISTEN: '10.0.0.1:80', PURSER_PUBLIC_URL: 'https://a.example' },
    'PURSER_INSECURE_HTTP: is only',
  ],
  [
    'plain HTTP for other operators',
    { PURSER_INSECURE_HTTP: 'loopback', PURSER_ADMIN_LISTEN: '[::]:80', PURSER_PUBLIC_URL: 'https://a.example' },
    'PURSER_INSECURE_HTTP: is only',
  ],
  ['plain HTTP by another word', { PURSER_INSECURE_HTTP: 'true' }, 'must be "loopback"'],
  [
    'plain HTTP with a certificate',
    { PURSER_INSECURE_HTTP: 'loopback', PURSER_TLS_CERT_FILE: '/c', PURSER_TLS_KEY_FILE: '/k' },
    'contradicts',
  ],
  ['everybody as a proxy', { PURSER_TRUSTED_PROXIES: '10.0.0.1,0.0.0.0/0' }, 'covers every address'],
  ['all of IPv6 as a proxy', { PURSER_TRUSTED_PROXIES: '::/0' }, 'covers every address'],
  ['a network too long', { PURSER_TRUSTED_PROXIES: '10.0.0.0/33' }, 'must be an IP address or a network'],
  ['a network of words', { PURSER_TRUSTED_PROXIES: 'lan' }, 'must be an IP address or a network'],
  ['an empty item', { PURSER_TRUSTED_PROXIES: '10.0.0.1,,10.0.0.2' }, 'empty item'],
  ['an origin over plain HTTP elsewhere', { PURSER_FETCH_ALLOW: 'http://a.example' }, 'must be an origin'],
  ['an origin with a path', { PURSER_FETCH_ALLOW: 'https://a.example/x' }, 'must be an origin'],
  ['a host with a path', { PURSER_FETCH_ALLOW: 'a.example/x' }, 'must be an origin'],
  ['name constraints of another kind', { PURSER_CA_NAME_CONSTRAINTS: 'true' }, 'must be "trust-domain"'],
  [
    'name constraints for a trust domain that reads as an address',
    { PURSER_CA_NAME_CONSTRAINTS: 'trust-domain', PURSER_TRUST_DOMAIN: '10.0.0.1' },
    'PURSER_CA_NAME_CONSTRAINTS: needs a trust domain that is a DNS name',
  ],
  [
    'name constraints for a trust domain that is not a host name',
    { PURSER_CA_NAME_CONSTRAINTS: 'trust-domain', PURSER_TRUST_DOMAIN: 'my_domain' },
    'PURSER_CA_NAME_CONSTRAINTS: needs a trust domain that is a DNS name',
  ],
  [
    'name constraints without any DNS name',
    { PURSER_CA_NAME_CONSTRAINTS: 'trust-domain', PURSER_TLS_NAMES: '127.0.0.1' },
    'PURSER_CA_DNS_SUFFIXES: must name at least one suffix',
  ],
  ['DNS suffixes alone', { PURSER_CA_DNS_SUFFIXES: 'corp.example' }, 'PURSER_CA_DNS_SUFFIXES: has no effect'],
  [
    'a DNS suffix with a dot in front',
    { PURSER_CA_NAME_CONSTRAINTS: 'trust-domain', PURSER_CA_DNS_SUFFIXES: '.corp.example' },
    'without a dot at either end',
  ],
  ['an audience with a space', { PURSER_AUDIENCES: 'a b' }, 'printable ASCII'],
  ['another database', { DATABASE_URL: 'mysql://h/d', PURSER_ROOT_KEY: rootKey }, 'postgres://'],
  ['a list of hosts with a gap', { DATABASE_URL: 'postgres://a,,b/d', PURSER_ROOT_KEY: rootKey }, 'empty host'],
  [
    'a list of hosts as a parameter',
    { DATABASE_URL: 'postgres:///d?host=a,b', PURSER_ROOT_KEY: rootKey },
    'before the path',
  ],
  ['a bad port in a list', { DATABASE_URL: 'postgres://a:1,b:x/d', PURSER_ROOT_KEY: rootKey }, 'host1:5432,host2:5432'],
  [
    'a standby to write to',
    { DATABASE_URL: 'postgres://a,b/d?target_session_attrs=standby', PURSER_ROOT_KEY: rootKey },
    'read-write',
  ],
  ['no root key for Postgres', { DATABASE_URL: 'postgres://h/d' }, 'purser root-key generate'],
  ['an owner for no database', { PURSER_MIGRATE_DATABASE_URL: 'postgres://h/d' }, 'DATABASE_URL: is missing'],
  ['a root key of 31 bytes', { PURSER_ROOT_KEY: Buffer.alloc(31).toString('base64') }, '32 bytes in base64'],
  ['a root key in another spelling', { PURSER_ROOT_KEY: rootKey.replace('=', '') }, '32 bytes in base64'],
  ['no worker', { PURSER_WORKERS: '0' }, 'from 1 to 64'],
  ['65 workers', { PURSER_WORKERS: '65' }, 'from 1 to 64'],
  ['1e1 workers', { PURSER_WORKERS: '1e1' }, 'from 1 to 64'],
  ['-1 seconds', { PURSER_DRAIN_SECONDS: '-1' }, 'from 0 to 600'],
  [
    'keys that sign before everyone knows them',
    { PURSER_KEY_PUBLISH_SECONDS: '300' },
    'must be more than PURSER_BUNDLE_REFRESH_SECONDS',
  ],
  [
    'a CA shorter than its announcement',
    { PURSER_CA_SIGN_SECONDS: '86400' },
    'must be more than PURSER_KEY_PUBLISH_SECONDS',
  ],
  ['a root shorter than its issuing CA', { PURSER_CA_ROOT_SECONDS: '600000' }, 'the lifetime of an issuing CA'],
  ['a path of two lines', { PURSER_DATA_DIR: '/a\n/b' }, 'must be one line'],
])('refused: %s', (_what, env, words) => {
  const messages = faults({ env: { ...min, ...env } })
  expect(messages).toHaveLength(1)
  expect(messages[0]).toContain(words)
})

test('a valid but probably unintended setting causes a warning', () => {
  const warnings = (env: Record<string, string>) => read({ env: { ...min, ...env } }).warnings
  expect(warnings({ PURSER_WORKERS: '4' })).toEqual([expect.stringContaining('PURSER_WORKERS')])
  expect(read({ env: { ...min, PURSER_WORKERS: '4' } }).workers).toBe(1)
  expect(read({ env: { ...postgres, PURSER_WORKERS: '4' } }).workers).toBe(4)
  expect(warnings({ PURSER_PUBLIC_URL: 'https://id.example.com:8443' })).toEqual([expect.stringContaining('port')])
  expect(warnings({ PURSER_PUBLIC_URL: `https://id.example.com/${'a'.repeat(240)}` })).toEqual([
    expect.stringContaining('255'),
  ])
  expect(warnings({ PURSER_INSECURE_HTTP: 'loopback' })).toEqual([expect.stringContaining('clear text')])
})

test('the certificate has the names under which the server is reached', () => {
  const env = {
    ...min,
    PURSER_LISTEN: '[::]:8443',
    PURSER_ADMIN_LISTEN: '10.0.0.7:9443',
    PURSER_PUBLIC_URL: 'https://id.example.com/purser',
  }
  expect(read({ env }).tls).toEqual({
    kind: 'own-ca',
    names: ['id.example.com', '10.0.0.7', 'localhost', '127.0.0.1', '::1'],
  })
  expect(read({ env: { ...env, PURSER_TLS_NAMES: 'a.example, 192.0.2.1' } }).tls).toMatchObject({
    names: ['a.example', '192.0.2.1'],
  })
  const literal = { ...min, PURSER_PUBLIC_URL: 'https://[2001:db8::1]' }
  expect(read({ env: literal }).tls).toMatchObject({ names: ['2001:db8::1', '127.0.0.1', 'localhost', '::1'] })
})

test('the store alone needs neither name nor root key, but no setting may be wrong', () => {
  const env = {
    DATABASE_URL: 'postgres://h/d',
    PURSER_MIGRATE_DATABASE_URL: 'postgres://owner@h/d',
    PURSER_LISTEN: '0.0.0.0:1',
  }
  const { database } = readStore({ env })
  expect(database.kind === 'postgres' && database.migrateUrl.reveal()).toBe('postgres://owner@h/d')
  expect(faults({ env: { ...env, PURSER_TRUST_DOMAIN: 'Not.A.Domain' } }, readStore)).toHaveLength(1)
  expect(faults({ env: { ...env, PURSER_MIGRAT: 'auto' } }, readStore)).toHaveLength(1)
})

test('the configuration is frozen at every level', () => {
  const walk = (value: object): void => {
    expect(Object.isFrozen(value)).toBe(true)
    for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) walk(part)
  }
  walk(read({ env: postgres }))
})

test('only reveal shows secrets', () => {
  const config = read({ env: postgres })
  expect(config.database.kind === 'postgres' && config.database.url.reveal()).toBe(postgres.DATABASE_URL)
  expect(config.rootKey.kind === 'value' && config.rootKey.value.reveal()).toBe(rootKey)
  const printed = [
    describeConfig(config),
    JSON.stringify(config),
    inspect(config, { depth: 9, showHidden: true, getters: true }),
    ...Object.values(config.database).map(String),
    ...Object.values(config.rootKey).map(String),
  ].join('\n')
  for (const value of ['hunter2', 'hunter3', rootKey]) expect(printed).not.toContain(value)
  expect(printed).toContain('postgres://db.example:5432/purser')
  expect(() => structuredClone(config)).toThrow()
})

test('a database may have several hosts', () => {
  const url = 'postgres://purser:hunter2@db1.example,[::1]:5433/purser?target_session_attrs=read-write'
  const { database } = read({ env: { ...postgres, DATABASE_URL: url } })
  expect(String(database.kind === 'postgres' && database.url)).toBe('postgres://db1.example,[::1]:5433/purser')
})

test('no fault repeats the value of a secret', () => {
  const secrets = Object.values(settings).filter((row) => 'secret' in row)
  expect(secrets.length).toBeGreaterThanOrEqual(3)
  for (const row of secrets) {
    for (const value of ['canary-4711', 'http://u:canary-4711@h', 'canary-4711\n']) {
      expect(faults({ env: { ...min, [row.env]: value } }).join('\n')).not.toContain('canary-4711')
    }
  }
})

test('any environment yields a configuration or its faults', () => {
  const rows = Object.values(settings)
  const value = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('1', 'https://a.example', '127.0.0.1:0', 'postgres://h/d', '::', rootKey),
  )
  const names = rows.flatMap((row) => [row.env, `${row.env}_FILE`])
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 12 }),
      fc.option(fc.string({ unit: 'binary' }), { nil: undefined }),
      (env, yaml) => {
        try {
          const config = read({ env: { ...min, ...env }, ...(yaml !== undefined && { yaml }) })
          expect(config.trustDomain).not.toBe('')
          expect(new URL(config.publicUrl).protocol).toBe('https:')
          expect(config.audiences).not.toEqual([])
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
        }
      },
    ),
    { numRuns: 500 },
  )
})

test('actions that need an approval are those whose requests an approver may read', () => {
  const actions = (text: string) => ({ env: { ...min, PURSER_APPROVAL_ACTIONS: text } })
  expect(read(actions('log.redact,secret.read')).approvals).toEqual({
    actions: ['log.redact', 'secret.read'],
    lifetimeSeconds: 3600,
  })
  expect(read({ env: min }).approvals.actions).toEqual([])
  expect(faults(actions('attestor.delet'))[0]).toContain('did you mean attestor.delete?')
  expect(faults(actions('operator.password'))[0]).toContain('PURSER_APPROVAL_ACTIONS: must be actions among log.redact')
})

test('passkeys have the site of the operators: of their URL, of the public URL, or none', () => {
  const siteOf = (env: Record<string, string>) => read({ env: { ...min, ...env } }).passkeySite
  expect(siteOf({})).toEqual({ origin: 'https://localhost:8443', rpId: 'localhost' })
  expect(siteOf({ PURSER_PUBLIC_URL: 'https://purser.example.org/eu' })).toEqual({
    origin: 'https://purser.example.org',
    rpId: 'purser.example.org',
  })
  const own = { PURSER_ADMIN_LISTEN: '127.0.0.1:9443', PURSER_OPERATORS_URL: 'https://ops.example.org:9443' }
  expect(siteOf(own)).toEqual({ origin: 'https://ops.example.org:9443', rpId: 'ops.example.org' })
  expect(read({ env: { ...min, ...own } }).tls).toMatchObject({ names: expect.arrayContaining(['ops.example.org']) })
  expect(siteOf({ PURSER_OPERATORS_URL: 'http://localhost:8443' })).toMatchObject({ rpId: 'localhost' })
  for (const none of [{ PURSER_ADMIN_LISTEN: '127.0.0.1:9443' }, { PURSER_PUBLIC_URL: 'https://192.0.2.1' }])
    expect(siteOf(none)).toBeUndefined()
})

test.each([
  ['http://ops.example.org', 'must be an https URL'],
  ['https://192.0.2.1:8443', 'must have a host name'],
  ['https://[2001:db8::1]', 'must have a host name'],
  ['https://ops.example.org/login', 'is written https://ops.example.org'],
  ['https://ada@ops.example.org', 'is written https://ops.example.org'],
  ['https://OPS.example.org', 'is written https://ops.example.org'],
  ['ops.example.org', 'must be an https URL'],
])('the URL of the operators is no %s', (url, problem) => {
  expect(faults({ env: { ...min, PURSER_OPERATORS_URL: url } })).toEqual([
    expect.stringMatching(new RegExp(`^PURSER_OPERATORS_URL: ${problem}`)),
  ])
})
