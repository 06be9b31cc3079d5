import { expect, test } from 'vitest'
import { faults, min, read, rootKey } from './read.ts'

test('flags take precedence over the environment, then the file, then the defaults of the verb', () => {
  const yaml = 'workers: 3\ndrainSeconds: 33\nlog: { level: debug }\n'
  const places = {
    overrides: { PURSER_WORKERS: '5', PURSER_LISTEN: '127.0.0.1:1' },
    env: {
      ...min,
      PURSER_WORKERS: '4',
      PURSER_DRAIN_SECONDS: '44',
      DATABASE_URL: 'postgres://h/d',
      PURSER_ROOT_KEY: rootKey,
    },
    yaml,
    defaults: { PURSER_LOG_LEVEL: 'error', PURSER_TRUST_DOMAIN: 'dev.test', PURSER_LIMIT_BURST_SECONDS: '9' },
  }
  expect(read(places)).toMatchObject({
    workers: 5,
    drainSeconds: 44,
    log: { level: 'debug' },
    trustDomain: 'example.org',
    limits: { burstSeconds: 9 },
    listen: { host: '127.0.0.1', port: 1 },
  })
})

test('the environment takes precedence over the file under either name', () => {
  const places = {
    env: { PURSER_TRUST_DOMAIN_FILE: '/td' },
    files: { '/td': 'a.example\n' },
    yaml: 'trustDomain: b.example',
  }
  expect(read(places).trustDomain).toBe('a.example')
})

test('a value from a file loses one line end and nothing else', () => {
  const file = (text: string) => read({ env: { PURSER_TRUST_DOMAIN_FILE: '/td' }, files: { '/td': text } }).trustDomain
  expect(file('a.example\n')).toBe('a.example')
  expect(file('a.example\r\n')).toBe('a.example')
  expect(() => file('a.example\n\n')).toThrow('must be')
  expect(() => file(' a.example')).toThrow('must be')
})

test('a file that cannot be read is a fault, with the reason', () => {
  expect(faults({ env: { ...min, DATABASE_URL_FILE: '/gone' } })).toContain(
    'DATABASE_URL_FILE: can\'t read "/gone" (ENOENT)',
  )
  expect(faults({ env: { ...min, PURSER_CONFIG: '/gone.yaml' } })).toEqual([
    'PURSER_CONFIG: can\'t read "/gone.yaml" (ENOENT)',
  ])
})

test('a setting that occurs twice in one source is a fault', () => {
  const files = { '/w': '1' }
  expect(faults({ env: { ...min, PURSER_WORKERS: '1', PURSER_WORKERS_FILE: '/w' }, files })).toEqual([
    'PURSER_WORKERS: is set twice: leave out PURSER_WORKERS or PURSER_WORKERS_FILE',
  ])
  expect(faults({ env: min, yaml: 'workers: 1\nworkersFile: /w\n', files })).toEqual([
    '/etc/purser.yaml:1 workers: is set twice: leave out /etc/purser.yaml:1 workers or /etc/purser.yaml:2 workersFile',
  ])
  expect(faults({ env: { ...min, PURSER_ROOT_KEY: rootKey, PURSER_ROOT_KEY_FILE: '/k' } })).toHaveLength(1)
})

test('an empty value is a fault, an empty list has no members', () => {
  expect(faults({ env: { ...min, PURSER_LISTEN: '' } })).toEqual([
    'PURSER_LISTEN: is empty: set a value or leave it out',
  ])
  expect(faults({ env: { PURSER_TRUST_DOMAIN: '' } })).toHaveLength(1)
  expect(read({ env: { ...min, PURSER_TRUSTED_PROXIES: '' } }).trustedProxies).toEqual([])
  expect(faults({ env: { ...min, PURSER_AUDIENCES: '' } })).toHaveLength(1)
  expect(faults({ env: { ...min, PURSER_TLS_NAMES: '' } })).toHaveLength(1)
})

test('the file has the same names, nested; lists as lists or with commas', () => {
  const yaml = `
trustDomain: example.org
listen: 127.0.0.1:0
database: { urlFile: /run/db, migrate: auto }
rootKeyFile: /run/root
fetchAllow: ["https://a.example", b.example, "http://127.0.0.1:8080"]
trustedProxies: 10.0.0.0/8,192.0.2.1
keys: { publishSeconds: 10, bundleRefreshSeconds: 5 }
`
  expect(read({ env: {}, yaml, files: { '/run/db': 'postgres://u:p@h/d\n' } })).toMatchObject({
    listen: { port: 0 },
    database: { kind: 'postgres', migrate: 'auto' },
    rootKey: { kind: 'file', path: '/run/root', create: false },
    fetchAllow: ['https://a.example', 'b.example', 'http://127.0.0.1:8080'],
    trustedProxies: ['10.0.0.0/8', '192.0.2.1/32'],
    keys: { publish: 10, bundleRefresh: 5 },
  })
})

test('an empty file sets nothing', () => {
  expect(read({ env: min, yaml: '# nothing yet\n' }).trustDomain).toBe('example.org')
})

test.each([
  [
    'an unknown place, with its line',
    'log:\n  levle: info\n',
    ['/etc/purser.yaml:2 log.levle: is not a setting: did you mean log.level?'],
  ],
  ['a group that holds a value', 'log: info', ['/etc/purser.yaml:1 log: must hold settings as name: value']],
  ['a list where one value is expected', 'listen: [a, b]', ['/etc/purser.yaml:1 listen: must be one plain value']],
  ['a map where one value is expected', 'workers: { a: 1 }', ['/etc/purser.yaml:1 workers: must be one plain value']],
  ['nothing', 'workers:', ['/etc/purser.yaml:1 workers: must be one plain value']],
  [
    'a list with a comma inside',
    'fetchAllow: ["https://a.example,https://b.example"]',
    ['/etc/purser.yaml:1 fetchAllow: must be a list of plain values'],
  ],
  ['a list of lists', 'fetchAllow: [[a]]', ['/etc/purser.yaml:1 fetchAllow: must be a list of plain values']],
  ['the same name twice', 'workers: 1\nworkers: 2\n', ['/etc/purser.yaml:2: is not valid YAML (DUPLICATE_KEY)']],
  ['no YAML', 'a: [', ['/etc/purser.yaml:1: is not valid YAML (BAD_COLLECTION_TYPE)']],
  ['a list at the top', '- a', ['/etc/purser.yaml:1: must hold settings as name: value']],
  [
    'an octal-looking number, as written',
    'workers: 010',
    ['/etc/purser.yaml:1 workers: must be a whole number from 1 to 64, not "010"'],
  ],
  ['an environment name', 'PURSER_WORKERS: 1', ['/etc/purser.yaml:1 PURSER_WORKERS: is not a setting']],
  ['a name that every object has', '__proto__: { a: 1 }', ['/etc/purser.yaml:1 __proto__: is not a setting']],
])('the file: %s', (_what, yaml, expected) => {
  const messages = faults({ env: min, yaml })
  if (yaml === 'a: [') expect(messages[0]).toMatch(/^\/etc\/purser\.yaml:1: is not valid YAML \([A-Z_]+\)$/)
  else expect(messages).toEqual(expected)
})

test('an anchor is refused: values are plain', () => {
  const bomb = 'limits: &a { burstSeconds: 1 }\nkeys: *a\n'
  expect(faults({ env: min, yaml: bomb })).toEqual(['/etc/purser.yaml:2 keys: must hold settings as name: value'])
})
