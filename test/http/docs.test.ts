/** `/docs`: openapi.yaml as a page without scripts and external resources. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDocsPage } from '../../src/http/docs-page.ts'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

const { operations } = loadOpenApi()

/** The text of an element's first occurrence, without tags and with decoded entities. */
const plain = (html: string): string =>
  html
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')

const sectionOf = (page: string, id: string): string =>
  new RegExp(`<section id="${id}">(.*?)</section>`, 's').exec(page)?.[1] ?? ''

describe('GET /docs', () => {
  let purser: TestPurser
  let answer: Answer
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
    answer = await purser.call('GET', '/docs')
  })
  afterAll(() => purser.stop())

  it('is public HTML with a policy that allows only its own style', () => {
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    const styles = [...answer.text.matchAll(/<style>(.*?)<\/style>/gs)].map(([, style = '']) => style)
    expect(styles).toHaveLength(1)
    const hash = createHash('sha256')
      .update(styles[0] ?? '')
      .digest('base64')
    expect(answer.headers.get('content-security-policy')).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    )
    expect(answer.text).not.toMatch(/<(script|link|img|iframe|form|object|embed|base)\b|\bon\w+=|\bstyle=|javascript:/i)
    const targets = [...answer.text.matchAll(/\b(?:href|src)="([^"]*)"/g)].map(([, target = '']) => target)
    expect(targets.filter((target) => !target.startsWith('#'))).toEqual(['/openapi.yaml'])
    const ids = new Set([...answer.text.matchAll(/\bid="([^"]*)"/g)].map(([, id]) => `#${id}`))
    expect(targets.filter((target) => target.startsWith('#') && !ids.has(target))).toEqual([])
  })

  it.each(operations.map((operation) => [operation.operationId, operation] as const))(
    'describes %s',
    (id, { method, path, permission }) => {
      const text = plain(sectionOf(answer.text, id))
      expect(text).toContain(`${method} ${path}`)
      expect(text).toContain(permission)
    },
  )

  it('lists parameters, bodies and replies of each operation by the names of the document', () => {
    const issue = plain(sectionOf(answer.text, 'issueCredentials'))
    expect(issue).toContain('Attest, and get everything in one request')
    expect(issue).toContain('All or nothing: when one part is refused nothing is issued')
    expect(issue).toMatch(/CredentialsRequest.*200.*CredentialsReply.*Problem/s)
    const create = plain(sectionOf(answer.text, 'createAttestor'))
    expect(create).toMatch(/Idempotency-Key.*AttestorSpec.*201.*Attestor/s)
    expect(plain(sectionOf(answer.text, 'getAttestor'))).toContain('name (path)')
    expect(answer.text).toContain('<code>If-Match</code>')
  })
})

it('texts of the document are escaped', () => {
  const hostile = `<script>alert("1")</script> & <b onclick='x'>`
  const page = createDocsPage({
    info: { title: hostile, version: '1', description: hostile },
    tags: [{ name: hostile, description: hostile }],
    paths: { [`/${hostile}`]: { get: { operationId: 'x"><i>', tags: [hostile], summary: hostile, responses: {} } } },
  })
  const html = page.bytes.toString()
  expect(html).not.toMatch(/<script|<b |<i>/)
  expect(html.match(/&lt;script&gt;/g)?.length).toBeGreaterThanOrEqual(5)
})
