import { describe, expect, test } from 'vitest'
import { zoneOf } from '../../src/outbound/address.ts'
import { covers, isListed, parseAllow, readTarget } from '../../src/outbound/target.ts'
import { OutboundError } from '../../src/outbound/errors.ts'

function codeOf(act: () => unknown): string {
  try {
    act()
    return 'accepted'
  } catch (error) {
    if (error instanceof OutboundError) return error.code
    throw error
  }
}

describe('the range of an address', () => {
  test.each([
    '0.0.0.0', '0.1.2.3', '169.254.169.254', '169.254.0.1', '100.100.100.200', '192.0.0.192', '192.0.2.1', '192.88.99.1', '198.18.0.1', '198.19.255.255', '198.51.100.7', '203.0.113.9', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255',
    '::', 'fe80::1', 'fe80::1%eth0', 'febf::1', 'fec0::1', 'ff02::1', 'fd00:ec2::254', '100::1', '2001::1', '2001:0:7f00:1::', '2001:db8::1', '2002:7f00:1::1', '2002:a00:1::', '3fff::1', '5f00::1', '64:ff9b:1::7f00:1', '::7f00:1', '::127.0.0.1', '::2', '4000::1', 'e000::1',
    '::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::ffff:0.0.0.0', '64:ff9b::a9fe:a9fe', '64:ff9b::', '64:ff9b::169.254.169.254', '::ffff:100.100.100.200',
    '', 'localhost', '127.1', '0x7f.0.0.1', '2130706433', '[::1]', '127.0.0.1 ', '1.2.3.4.5', ':::',
  ])('special: %j', (address) => {
    expect(zoneOf(address)).toBe('special')
  }) // prettier-ignore

  test.each([
    '127.0.0.1', '127.255.255.254', '10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', '100.127.255.255',
    '::1', '0:0:0:0:0:0:0:1', 'fc00::1', 'fd12:3456::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::FFFF:10.0.0.1', '0:0:0:0:0:ffff:c0a8:0101', '64:ff9b::7f00:1', '64:ff9b::10.0.0.1',
  ])('private: %j', (address) => {
    expect(zoneOf(address)).toBe('private')
  }) // prettier-ignore

  test.each([
    '1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.1', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.0.1.0', '192.167.255.255', '192.169.0.0', '198.17.255.255', '198.20.0.0', '223.255.255.255',
    '2606:4700::1111', '2a00::1', '2001:4860:4860::8888', '2003::1', '3ffe::1', '::ffff:8.8.8.8', '64:ff9b::808:808',
  ])('public: %j', (address) => {
    expect(zoneOf(address)).toBe('public')
  }) // prettier-ignore

  test('one unreachable address refuses all answers, and so does an empty answer', () => {
    expect(covers('public', ['8.8.8.8', '1.1.1.1'])).toBe(true)
    expect(covers('public', ['8.8.8.8', '10.0.0.1'])).toBe(false)
    expect(covers('public', [])).toBe(false)
    expect(covers('inside', ['8.8.8.8', '10.0.0.1'])).toBe(true)
    expect(covers('inside', ['10.0.0.1', '169.254.169.254'])).toBe(false)
    expect(covers('any', ['169.254.169.254'])).toBe(true)
    expect(covers('any', [])).toBe(false)
  })
})

describe('URLs', () => {
  test.each([
    '', 'example.org', '//example.org', 'https:', 'https://', 'https:///a', 'https:/example.org', 'https:example.org', 'https:\\\\example.org', 'https://user@example.org', 'https://user:pw@example.org/', 'https://host@evil.test/', 'https://@example.org/', 'https://example.org@127.0.0.1/', 'https://example.org\\@evil.test/', 'https://example.org#@evil.test/', 'https://example.org#', 'https://example.org/a#b', 'https://example.org:', 'https://example.org:x/', 'https://example.org:99999/', 'https://example.org:+443/', 'https://exa mple.org/', ' https://example.org/', 'https://example.org/\n', 'https://exam\tple.org/', 'https://example.org/a b', 'https://example.org/\u00e9', 'https://ex\u00e4mple.org/', 'https://example\u3002org/', 'https://ｅxample.org/', 'https://example%2eorg/', 'https://example.org./', 'https://example.org/a\\b', 'https://*.example.org/', 'https://a..b/', 'https://[::1', 'https://[::g]/', 'https://[fe80::1%25eth0]/', 'https://[::1%eth0]/', `https://example.org/${'a'.repeat(2048)}`,
    'https://0x7f.0.0.1/', 'https://0x7f000001/', 'https://2130706433/', 'https://127.1/', 'https://0177.0.0.1/', 'https://017700000001/', 'https://0/', 'https://127.0.0.01/', 'https://127.0.0.1./', 'https://1.1/', 'https://256.0.0.1/',
  ])('refused: %j', (text) => {
    for (const configured of [true, false]) expect(codeOf(() => readTarget(text, configured, []))).toBe('bad_url')
  }) // prettier-ignore

  test.each(['http://example.org/', 'HTTP://example.org/', 'http://127.0.0.1/', 'http://localhost/', 'http://[::1]/', 'ftp://example.org/', 'file:///etc/passwd', 'data:application/json,{}', 'javascript:0', 'ws://example.org', 'unix:/var/run/docker.sock'])(
    'not https: %j',
    (text) => {
      for (const configured of [true, false]) expect(['not_https', 'bad_url']).toContain(codeOf(() => readTarget(text, configured, []))) // prettier-ignore
      expect(codeOf(() => readTarget(text.toLowerCase(), true, []))).toBe('not_https')
    },
  ) // prettier-ignore

  test.each<[string, string, string]>([
    ['https://127.0.0.1/', 'not_allowed', 'accepted'],
    ['https://10.0.0.1:6443/', 'not_allowed', 'accepted'],
    ['https://[::1]/', 'not_allowed', 'accepted'],
    ['https://[0:0:0:0:0:0:0:1]/', 'not_allowed', 'accepted'],
    ['https://[::ffff:127.0.0.1]/', 'not_allowed', 'accepted'],
    ['https://[fd00::1]/', 'not_allowed', 'accepted'],
    ['https://169.254.169.254/', 'not_allowed', 'not_allowed'],
    ['https://[::ffff:169.254.169.254]/', 'not_allowed', 'not_allowed'],
    ['https://[fe80::1]/', 'not_allowed', 'not_allowed'],
    ['https://[::]/', 'not_allowed', 'not_allowed'],
    ['https://0.0.0.0/', 'not_allowed', 'not_allowed'],
    ['https://8.8.8.8/', 'accepted', 'accepted'],
    ['https://example.org', 'accepted', 'accepted'],
    ['https://Example.ORG:8443/a?b=c&d=%20', 'accepted', 'accepted'],
    ['https://my_service/', 'accepted', 'accepted'],
  ])('%s: %s, configured %s', (text, stranger, configured) => {
    expect(codeOf(() => readTarget(text, false, []))).toBe(stranger)
    expect(codeOf(() => readTarget(text, true, []))).toBe(configured)
  })
})

describe('PURSER_FETCH_ALLOW', () => {
  test.each(['', '*', '*.example.org', 'https://', 'https://example.org/', 'https://example.org/a', 'https://example.org?', 'example.org/', 'example.org:8443', 'user@example.org', 'https://u@example.org', '10.0.0.0/8', '127.1', 'a b', 'example.org.', 'https://example.org#', '.example.org,'])(
    'an invalid entry: %j',
    (entry) => {
      expect(codeOf(() => parseAllow(entry))).toBe('bad_url')
    },
  ) // prettier-ignore

  test.each([
    'http://example.org',
    'http://10.0.0.1',
    'http://localhost:8080',
    'http://169.254.169.254',
    'ftp://example.org',
  ])('http is for loopback: %j', (entry) => {
    expect(codeOf(() => parseAllow(entry))).toBe('not_https')
  })

  const rules = ['https://issuer.test:8443', 'keys.test', 'http://127.0.0.1:8080', 'http://[::1]:8080', '169.254.169.254', '[fd00:ec2::254]'].map(parseAllow) // prettier-ignore

  test.each<[string, boolean]>([
    ['https://issuer.test:8443/keys', true],
    ['https://issuer.test/keys', false],
    ['https://issuer.test:8444/', false],
    ['http://issuer.test:8443/', false],
    ['https://a.issuer.test:8443/', false],
    ['https://keys.test/', true],
    ['https://KEYS.test:9443/a', true],
    ['http://keys.test/', false],
    ['https://notkeys.test/', false],
    ['https://keys.test.evil.test/', false],
    ['https://keys.test@evil.test/', false],
    ['https://evil.test/?keys.test', false],
    ['https://keys.test\\@evil.test/', false],
    ['http://127.0.0.1:8080/a', true],
    ['http://127.0.0.1:8081/a', false],
    ['https://127.0.0.1:8080/a', false],
    ['http://[::1]:8080/', true],
    ['http://2130706433:8080/', false],
    ['https://169.254.169.254/latest', true],
    ['https://[fd00:ec2::254]/', true],
    ['nonsense', false],
  ])('%s: %s', (url, expected) => {
    expect(isListed(rules, url)).toBe(expected)
    if (expected) expect(readTarget(url, false, rules).reach).toBe('any')
  })

  test('an empty list allows nothing', () => {
    expect(isListed([], 'https://example.org/')).toBe(false)
  })
})
