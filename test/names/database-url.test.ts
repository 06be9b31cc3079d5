import { describe, expect, it } from 'vitest'
import { parseDatabaseUrl } from '../../src/names/database-url.ts'

describe('the hosts of a database URL', () => {
  it.each([
    ['postgres://u:p@h/d', ['postgres://u:p@h/d'], false],
    ['postgresql:///d?host=/run/postgresql', ['postgresql:///d?host=/run/postgresql'], false],
    ['postgres://u:p%2C@h1:5432,h2:5433/d', ['postgres://u:p%2C@h1:5432/d', 'postgres://u:p%2C@h2:5433/d'], true],
    ['postgres://u:a,b@h1,h2/d', ['postgres://u:a,b@h1/d', 'postgres://u:a,b@h2/d'], true],
    ['postgres://u@[::1]:5432,h2/d', ['postgres://u@[::1]:5432/d', 'postgres://u@h2/d'], true],
    ['postgres://h/d?target_session_attrs=primary', ['postgres://h/d'], true],
    [
      'postgres://a,b/d?sslmode=verify-full&target_session_attrs=read-write&sslrootcert=/r%20t.pem',
      [
        'postgres://a/d?sslmode=verify-full&sslrootcert=%2Fr+t.pem',
        'postgres://b/d?sslmode=verify-full&sslrootcert=%2Fr+t.pem',
      ],
      true,
    ],
  ])('of %s', (text, urls, wantsWritable) => {
    expect(parseDatabaseUrl(text)).toEqual({ urls, wantsWritable })
  })

  it.each([
    'mysql://h/d',
    'postgres://a,,b/d',
    'postgres://a,b:x/d',
    'postgres:///d?host=a,b',
    'postgres://a/d?target_session_attrs=any',
  ])('are refused in %s', (text) => {
    expect(parseDatabaseUrl(text)).toMatch(/^(must|has) /)
  })
})
