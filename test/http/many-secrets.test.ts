/** The cost of a list of secrets depends on the caller's grant and the page, not on the number of secrets. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { createPods } from '../support/consumers.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

type Page = { items: { path: string }[]; nextCursor: string | null }

describe('GET /api/v1/secrets', () => {
  const clock = createClock()
  let purser: TestPurser
  let token: string
  const paths = [
    'prod/a/one',
    'prod/a/two',
    'prod/b/one',
    'prod/b0',
    'prod/exact',
    'prod/exactly',
    'test/a/one',
    'test/deep/er/x',
  ]
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', now: clock.now })
    const actions = ['list']
    const grants = { secrets: [{ paths: ['prod/*/one', 'prod/exact', 'test/**'], actions }] }
    token = (await (await createPods(purser, clock, ['pod-0'], { grants })).start('pod-0')).token
    for (const path of paths)
      await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { x: 'y' } }, { 'if-match': '"0"' })
  })
  afterAll(() => purser.stop())

  async function listAll(token: string, query: string): Promise<string[]> {
    const paths: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const more = cursor === '' ? '' : `&cursor=${cursor}`
      const { status, body } = await purser.call('GET', `/api/v1/secrets?${query}${more}`, undefined, { token })
      expect(status).toBe(200)
      const page = body as unknown as Page
      paths.push(...page.items.map(({ path }) => path))
      cursor = page.nextCursor
    }
    return paths
  }

  it.each(['limit=1', 'limit=2', 'limit=3', 'limit=100'])('shows all granted secrets, in order: %s', async (query) => {
    const granted = ['prod/a/one', 'prod/b/one', 'prod/exact', 'test/a/one', 'test/deep/er/x']
    expect(await listAll(token, query)).toEqual(granted)
    expect(await listAll(purser.admin, query)).toEqual(paths)
  })

  it('shows secrets under a prefix, within the grant', async () => {
    expect(await listAll(token, 'prefix=prod/&limit=2')).toEqual(['prod/a/one', 'prod/b/one', 'prod/exact'])
    expect(await listAll(token, 'prefix=prod/ex')).toEqual(['prod/exact'])
    expect(await listAll(token, 'prefix=other/')).toEqual([])
  })

  it('shows secrets that were created since', async () => {
    await purser.asAdmin('PUT', '/api/v1/secrets/test/b', { data: { x: 'y' } }, { 'if-match': '"0"' })
    expect(await listAll(token, 'prefix=test/')).toEqual(['test/a/one', 'test/b', 'test/deep/er/x'])
  })
})
