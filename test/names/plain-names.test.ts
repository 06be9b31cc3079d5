import { describe, expect, test } from 'vitest'
import { isAudience, parseAudience } from '../../src/names/audience.ts'
import { isDnsName, parseDnsName } from '../../src/names/dns-name.ts'
import { isEntryName, isId, newId, parseEntryName } from '../../src/names/id.ts'

describe('DNS names', () => {
  const label = 'a'.repeat(63)
  test.each(['', '.', 'a.', '.a', 'a..b', '*', '*.a', 'a.*', 'a*', 'A', 'Web.prod.svc', '-a', 'a-', 'a-.b', 'a.-b', 'a_b', '_srv.a', 'a b', 'a\n', 'a\u0000.b', 'é.a', '\u212a', 'a/b', 'a:1', 'a@b', '10.0.0.1', '1', 'a.1', 'a.0x7f', '0x', '::1', '[::1]', `${label}a`, `${label}.${label}.${label}.${label}`])(
    'no: %j',
    (text) => {
      expect(isDnsName(text)).toBe(false)
      expect(() => parseDnsName(text)).toThrow(expect.objectContaining({ code: 'bad_dns_name' }))
    },
  ) // prettier-ignore
  test.each(['a', 'localhost', 'web.prod.svc', 'web.prod.svc.cluster.local', '1.example.org', '3com.com', 'xn--bcher-kva.example', 'a--b.c', label, `${label}.${label}.${label}.${'a'.repeat(61)}`])(
    'yes: %j',
    (text) => {
      expect(parseDnsName(text)).toBe(text)
    },
  ) // prettier-ignore
})

describe('audiences', () => {
  test.each(['', ' ', 'a b', 'a\n', '\ta', 'a\u0000', 'é', '\u007f', 'a'.repeat(256)])('no: %j', (text) => {
    expect(isAudience(text)).toBe(false)
    expect(() => parseAudience(text)).toThrow(expect.objectContaining({ code: 'bad_audience' }))
  })
  test.each(['a', 'https://purser.example.org', 'api://AzureADTokenExchange', 'sts.amazonaws.com', '//iam.googleapis.com/projects/1/x', 'a'.repeat(255)])(
    'yes: %j',
    (text) => {
      expect(parseAudience(text)).toBe(text)
    },
  ) // prettier-ignore
})

describe('entry names', () => {
  test.each(['', '-a', 'A', 'a_b', 'a.b', 'a b', 'a\n', 'a/b', '..', '__proto__', 'é', 'a'.repeat(64)])(
    'no: %j',
    (text) => {
      expect(isEntryName(text)).toBe(false)
      expect(() => parseEntryName(text)).toThrow(expect.objectContaining({ code: 'bad_name' }))
    },
  )
  test.each(['a', '0', 'prod-eu', 'a-', 'a'.repeat(63)])('yes: %j', (text) => {
    expect(parseEntryName(text)).toBe(text)
  })
})

describe('ids', () => {
  const bytes = (size: number) => new Uint8Array(size).fill(0xab)

  test('have a prefix and all the random bits', () => {
    expect(newId('ses', bytes)).toBe(`ses_${'ab'.repeat(16)}`)
    expect(isId('ses', newId('ses', bytes))).toBe(true)
  })

  test.each(['', 'ses_', 'ses', `wl_${'ab'.repeat(16)}`, `ses_${'AB'.repeat(16)}`, `ses_${'ab'.repeat(15)}`, `ses_${'ab'.repeat(17)}`, `ses_${'ab'.repeat(16)}\n`])(
    'no session id: %j',
    (text) => {
      expect(isId('ses', text)).toBe(false)
    },
  ) // prettier-ignore
})
