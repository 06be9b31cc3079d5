/** Markup in names, descriptions and reasons comes back as data that no browser renders, and nothing redirects a browser. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { type Node, inline, isNode } from '../../src/http/openapi-schemas.ts'
import { tokenFor } from '../support/accounts.ts'
import { accountWithPassword, logIn, password } from '../support/logins.ts'
import { type Ask, createAsk } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

const markup = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "'-alert(1)-'",
  '</script><svg/onload=alert(1)>',
  'javascript:alert(1)',
  '<!--<script>',
  '{{constructor.constructor("alert(1)")()}}',
  '=cmd|"/c calc"!A1',
  '\u2028<a href="data:text/html,x">',
]

const api = loadOpenApi()
const node = (value: unknown): Node => (isNode(value) ? value : {})

describe('a browser', () => {
  let purser: TestPurser
  let ask: Ask
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
    ask = createAsk(purser)
    await accountWithPassword(ask, 'ada', 'operator')
  })
  afterAll(() => purser.stop())

  function isInert({ headers }: Answer): void {
    expect(headers.get('content-type')).toMatch(
      /^application\/(?:problem\+)?json|^application\/x-ndjson|^application\/jsonl/,
    )
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
  }

  it.each(markup)('gets %j as data, wherever it was written', async (text) => {
    const description = text.replaceAll(/[\u2028]/g, '')
    const { id } = await tokenFor(ask, 'ada', { description })
    const tokens = await ask('listTokens')
    expect(tokens.body.items).toContainEqual(expect.objectContaining({ id, description }))
    isInert(tokens)
    const noted = await ask('revokeToken', { name: id, reason: description })
    const found = await ask('searchEntries', { query: { requestId: noted.headers.get('purser-request-id') ?? '' } })
    expect(JSON.stringify(found.body.items)).toContain(JSON.stringify(description).slice(1, -1))
    isInert(found)
    for (const path of [
      `/api/v1/workloads/${encodeURIComponent(text)}`,
      `/api/v1/workloads?managedBy=${encodeURIComponent(text)}`,
      `/${encodeURIComponent(text)}`,
    ])
      // prettier-ignore
      isInert(await purser.call('GET', path, undefined, { token: purser.admin }))
    const exported = await purser.call('GET', '/api/v1/audit/export', undefined, { token: purser.admin })
    expect(exported.headers.get('x-content-type-options')).toBe('nosniff')
    expect(exported.headers.get('content-type')).not.toMatch(/html|xml|csv/)
  })

  it('is sent nowhere by any operation, and no login takes a place to return to', async () => {
    for (const { operationId } of api.operations) {
      const { responses } = operationIn(operationId)
      const redirects = Object.keys(node(responses)).filter((status) => /^3\d\d$/.test(status) && status !== '304')
      expect(redirects, operationId).toEqual([])
    }
    for (const target of [
      '//evil.example',
      '/\\evil.example',
      'https:evil.example',
      'javascript:alert(1)',
      '/%09/evil',
    ]) {
      for (const member of ['returnTo', 'redirect', 'redirect_uri', 'next', 'url', 'continue']) {
        const answer = await logIn(purser, { operator: 'ada', password, [member]: target })
        expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
      }
    }
  })
})

function operationIn(operationId: string): { responses?: unknown } {
  const paths = Object.values(node(node(inline(api.written))['paths']))
  const operations = paths.flatMap((item) => Object.values(node(item)).map(node))
  return operations.find((operation) => operation['operationId'] === operationId) ?? {}
}
