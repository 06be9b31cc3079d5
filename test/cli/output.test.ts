import { Writable } from 'node:stream'
import { assert, property, string } from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { formatExplanation } from '../../src/cli/explain.ts'
import { exitCodes } from '../../src/cli/io.ts'
import { createScreen } from '../../src/cli/demo/screen.ts'
import { createStyle, pairs, printable, show, table } from '../../src/cli/output.ts'
import { refusalOf } from '../../src/cli/problem.ts'

describe('printable', () => {
  it('escapes what would move a cursor, colour a line or change the text direction', () => {
    expect(printable('a\u001b[31mb\rc\u202ed\u2028e')).toBe('a\\u001b[31mb\\u000dc\\u202ed\\u2028e')
  })

  it('leaves no control character in any text', () => {
    assert(
      property(string({ unit: 'binary' }), (text) => {
        expect(printable(text)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u)
      }),
    )
  })

  it('leaves ordinary text of any script unchanged', () => {
    expect(printable('spiffe://example.org/ns/prod — Größe 役')).toBe('spiffe://example.org/ns/prod — Größe 役')
  })
})

describe('the formats of --output', () => {
  const shared = { team: 'shop' }
  const value = {
    items: [
      { name: 'web', labels: shared, note: undefined },
      { name: 'yes', labels: shared },
    ],
  }
  const printed = (output?: 'table' | 'json' | 'yaml'): string => {
    let out = ''
    const stdout = new Writable({ write: (chunk: Buffer, _, done) => ((out += chunk.toString()), done()) })
    show({ stdout }, { ...(output && { output }) }, value, () => 'a table\n')
    return out
  }

  it('are a table, JSON, and the same value as YAML without aliases', () => {
    expect([printed(), printed('table')]).toEqual(['a table\n', 'a table\n'])
    expect(JSON.parse(printed('json'))).toEqual(parse(printed('yaml')))
    expect(printed('yaml')).toBe(
      'items:\n  - name: web\n    labels:\n      team: shop\n  - name: "yes"\n    labels:\n      team: shop\n',
    )
  })
})

describe('table', () => {
  it('aligns columns, and ends no line in blanks', () => {
    const rows = [
      ['web', 'prod-eu', ''],
      ['a-long-name', 'x', '1'],
    ]
    expect(table(rows, ['NAME', 'ATTESTOR', 'REV'])).toBe(
      'NAME         ATTESTOR  REV\nweb          prod-eu\na-long-name  x         1\n',
    )
  })

  it('is empty without rows', () => {
    expect(table([])).toBe('')
  })

  it('keeps a cell with a line break on one line', () => {
    expect(table([['a\nb', 'c']])).toBe('a\\u000ab  c\n')
  })
})

it('pairs shows several values of a key', () => {
  expect(pairs({ 'k8s:ns': 'prod', 'oidc:groups': ['a', 'b'] })).toBe('k8s:ns=prod oidc:groups=[a, b]')
})

describe('colour', () => {
  const style = (isTTY: boolean, env: Record<string, string>) =>
    createStyle({ stdout: Object.assign(new Writable(), { isTTY }), env })('red', 'x')

  it.each([
    [true, {}, '\u001b[31mx\u001b[39m'],
    [false, {}, 'x'],
    [true, { NO_COLOR: '1' }, 'x'],
    [true, { TERM: 'dumb' }, 'x'],
  ])('on a terminal (%s) with %j', (isTTY, env, expected) => {
    expect(style(isTTY, env)).toBe(expected)
  })
})

describe('the message of a refusal', () => {
  it('names the fault, its place, the remedy and the request', () => {
    const error = refusalOf(
      {
        code: 'match_too_wide',
        title: 'The match is too wide',
        requestId: 'req_1',
        errors: [{ pointer: '/match', detail: 'must ask for x' }],
      },
      422,
    )
    expect(error.message).toBe('The match is too wide (422 match_too_wide)\n  /match: must ask for x\n  request: req_1')
    expect(error.exitCode).toBe(exitCodes.refused)
  })

  it('names the request once when it is the remedy', () => {
    const { message } = refusalOf({ code: 'attestation_failed', title: 'No', requestId: 'req_1' }, 401)
    expect(message).toBe(
      'No (401 attestation_failed)\n  what to do: an operator sees the reason with: purser explain req_1',
    )
  })

  it.each([
    ['log_unavailable', 503, exitCodes.unreachable],
    ['replica_behind', 503, exitCodes.unreachable],
    ['issuing_closed', 503, exitCodes.refused],
    ['internal', 500, exitCodes.failed],
    ['rate_limited', 429, exitCodes.refused],
  ])('%s ends with its exit code', (code, status, expected) => {
    expect(refusalOf({ code, title: 'No' }, status).exitCode).toBe(expected)
  })

  it('of another server has the status', () => {
    expect(refusalOf({}, 502).message).toBe('The server refused (502 http_502)')
  })

  it('cannot write to the terminal by itself', () => {
    expect(refusalOf({ title: 'a\u001b[2Jb' }, 400).message).not.toContain('\u001b')
  })
})

describe('the text of an explanation', () => {
  it('shows the expected and the actual value of each condition', () => {
    const text = formatExplanation({
      outcome: 'refused',
      reason: 'no_workload',
      detail: 'No entry matches.',
      next: 'register one',
      attestor: 'prod-eu',
      selectors: { 'k8s:ns': 'prod' },
      entries: [
        {
          workload: { id: 'wl_1', name: 'web', revision: 1 },
          matched: false,
          conditions: [
            { key: 'k8s:ns', wanted: 'prod', found: 'prod', ok: true },
            { key: 'k8s:sa', wanted: ['web', 'www'], ok: false },
          ],
        },
        { workload: { id: 'wl_2', name: 'old', revision: 2 }, matched: true, disabled: true, conditions: [] },
      ],
    })
    expect(text.split('\n')).toEqual([
      'refused     no_workload: No entry matches.',
      'attestor    prod-eu',
      'facts       k8s:ns=prod',
      'entry web   k8s:sa is nothing, expected web or www',
      'entry old   matches, but is disabled',
      'what to do  register one',
      '',
    ])
  })

  it('shows the grant', () => {
    const text = formatExplanation({
      outcome: 'granted',
      entries: [],
      grant: {
        spiffeId: 'spiffe://example.org/web',
        grants: {
          x509: { dnsNames: ['web.lab'], maxLifetimeSeconds: 3600 },
          jwt: { audiences: ['payments'], maxLifetimeSeconds: 300 },
        },
        sessionExpiresAt: '2026-11-25T00:00:00Z',
      },
    })
    expect(text).toContain('may have   certificate (web.lab); JWTs for payments; until 2026-11-25T00:00:00Z\n')
  })
})

it("the demo's screen counts failed checks, and shows them", () => {
  let out = ''
  const stdout = new Writable({
    write(chunk: Buffer, _, done) {
      out += chunk.toString()
      done()
    },
  })
  const screen = createScreen({ stdout, env: {} })
  screen.check(true, 'one', 'as it should be')
  screen.check(false, 'other', 'not so')
  screen.require(true, 'never said')
  screen.require(false, 'something is missing')
  expect(out).toBe(
    '  ok   one              as it should be\n  FAIL other            not so\n  FAIL but              something is missing\n',
  )
  expect([screen.checks(), screen.failures()]).toEqual([4, 2])
})
