/** The page `/login`: where it is served, and what its policy allows. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
beforeAll(async () => {
  purser = await startPurser({ env: { PURSER_ADMIN_LISTEN: '127.0.0.1:0' } })
})
afterAll(() => purser.stop())

const get = (path: string): Promise<Response> => fetch((purser.adminUrl ?? '') + path)

describe('the page', () => {
  it('is on the listener of operators alone', async () => {
    for (const path of ['/login', '/login.js']) {
      expect((await get(path)).status).toBe(200)
      expect((await purser.call('GET', path)).status).toBe(404)
    }
  })

  it('allows its own script and style alone, and no frame', async () => {
    const page = await get('/login')
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'sha256-[\w+/]{43}='; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'$/,
    )
    const html = await page.text()
    expect(html.match(/<script[^>]*>/g)).toEqual(['<script type="module" src="/login.js">'])
    expect(html).not.toMatch(/\son\w+=|\sstyle=|https?:|\ssrc="(?!\/login\.js)/)
  })

  it('has a label for each field, and a text in each button', async () => {
    const html = await (await get('/login')).text()
    const ids = [...html.matchAll(/<input id="([\w-]+)"/g)].map(([, id]) => id)
    expect(ids.length).toBeGreaterThan(5)
    for (const id of ids) expect(html).toContain(`<label for="${id}">`)
    expect(html).not.toMatch(/<button[^>]*>\s*<\/button>/)
  })

  it('has the script that is in the repository, which stores no secret and writes no HTML', async () => {
    const script = await get('/login.js')
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    const text = await script.text()
    expect(text).toBe(readFileSync(new URL('../../pages/login.js', import.meta.url), 'utf8'))
    expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function/)
    expect(text.match(/localStorage\.setItem\([^)]*\)/g)).toEqual([`localStorage.setItem(sessionHint, '1')`])
  })
})
