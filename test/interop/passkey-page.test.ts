// Operators log in by passkey in Chromium, with its virtual authenticator, through the page /login of a real TLS server.

import { X509Certificate, createHash } from 'node:crypto'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../src/cli/dev/free-port.ts'
import { accountWithPassword, password } from '../support/logins.ts'
import { type Ask, createAsk, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { type Browser, type Page, findChromium, startChromium } from './support/chromium.ts'

const chromium = findChromium()
if (chromium === undefined)
  process.stdout.write('SKIPPED passkeys in a browser: Chromium is not installed (apt-get install chromium, or PURSER_TEST_CHROMIUM=<path>)\n') // prettier-ignore

/** The hash of the public key of a server, as Chromium takes it. */
const keyHash = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      const { publicKey } = new X509Certificate(socket.getPeerCertificate().raw)
      resolve(
        createHash('sha256')
          .update(publicKey.export({ type: 'spki', format: 'der' }))
          .digest('base64'),
      )
      socket.destroy()
    })
    socket.once('error', reject)
  })

const fill = (page: Page, values: Record<string, string>): Promise<unknown> =>
  page.run(
    `Object.entries(${JSON.stringify(values)}).forEach(([id, value]) => { document.getElementById(id).value = value })`,
  )
const click = (page: Page, selector: string): Promise<unknown> =>
  page.run(`document.querySelector(${JSON.stringify(selector)}).click()`)
const message = (page: Page): Promise<string> => page.run(`document.getElementById('message').textContent`)
const shows = (page: Page, section: string): Promise<void> =>
  page.until(`document.getElementById('${section}') && !document.getElementById('${section}').hidden`)

// A file without tests is an error for vitest, and a test that does nothing would count as passed.
describe.runIf(chromium !== undefined)('a passkey in Chromium', () => {
  let purser: TestPurser
  let ask: Ask
  let browser: Browser
  let page: Page
  let origin = ''
  let authenticatorId = ''
  beforeAll(async () => {
    const port = await freePort(18_400)
    origin = `https://localhost:${port}`
    const env = { PURSER_LISTEN: `127.0.0.1:${port}`, PURSER_OPERATORS_URL: origin }
    purser = await startPurser({ store: 'postgres', tls: true, env })
    ask = createAsk(purser)
    await accountWithPassword(ask, 'ada', 'operator')
    browser = await startChromium(chromium ?? '', await keyHash(port))
    page = await browser.open(`${origin}/login`)
    await page.send('WebAuthn.enable')
    const options = {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    }
    authenticatorId = String((await page.send('WebAuthn.addVirtualAuthenticator', { options }))['authenticatorId'])
  }, 120_000)
  afterAll(async () => {
    await browser?.stop()
    await purser?.stop()
  })

  /** The page remembers what it sends in a login. */
  const watchLogins = (): Promise<unknown> =>
    page.run(`(() => {
      const plain = window.fetch
      window.sent = []
      window.fetch = (path, init) => {
        if (path.endsWith(':passkey')) window.sent.push(init.body)
        return plain(path, init)
      }
    })()`)

  const logOut = async (): Promise<void> => {
    await click(page, '#log-out')
    await shows(page, 'log-in')
  }

  it('is not there before it is added', async () => {
    await shows(page, 'log-in')
    await click(page, '#with-passkey')
    await page.until(`document.getElementById('message').textContent !== ''`)
    expect(await message(page)).toBe('No passkey was used: the request was cancelled, or it timed out.')
  })

  it('needs the right password of the operator', async () => {
    await fill(page, { operator: 'ada', password: 'seven swans on the leak' })
    await click(page, '#password-form button')
    await page.until(`document.getElementById('message').textContent !== ''`)
    expect(await message(page)).toBe('The name, the password or the code is not right.')
    await fill(page, { password })
    await click(page, '#password-form button')
    await shows(page, 'account')
    await fill(page, { label: 'test key', 'present-password': 'seven swans on the leak' })
    await click(page, '#add-form button')
    await page.until(`document.getElementById('message').textContent !== ''`)
    expect(await message(page)).toBe('The password is not the present password.')
  })

  it('is added on the page', async () => {
    await fill(page, { 'present-password': password })
    await click(page, '#add-form button')
    await page.until(`document.querySelectorAll('#passkeys li').length === 1`)
    expect(await page.run(`document.querySelector('#passkeys li').textContent`)).toContain('test key, added ')
    const { credentials } = await page.send('WebAuthn.getCredentials', { authenticatorId })
    expect(credentials).toMatchObject([{ rpId: 'localhost', isResidentCredential: true }])
    await logOut()
  })

  it('logs in without name and password, by a cookie that scripts cannot read', async () => {
    await watchLogins()
    await click(page, '#with-passkey')
    await shows(page, 'account')
    expect(await page.run(`document.getElementById('name').textContent`)).toBe('ada')
    expect(await page.run('document.cookie')).toBe('')
    const entries = await readLog(purser)
    expect(entries.findLast(({ action }) => action === 'operator.login')).toMatchObject({
      outcome: 'granted',
      actor: { operator: 'ada' },
      detail: { passkey: expect.stringMatching(/^pk_/) },
    })
  })

  it('gives an assertion that counts once', async () => {
    const [body = ''] = await page.run<string[]>('window.sent')
    const repeat = await purser.call('POST', '/api/v1/sessions:passkey', JSON.parse(body))
    expect(repeat.status).toBe(401)
    await logOut()
  })

  it('does not count for another origin of the same host', async () => {
    const port = await freePort(18_500)
    const elsewhere = { PURSER_LISTEN: `127.0.0.1:${port}`, PURSER_OPERATORS_URL: `https://localhost:${port}` }
    const other = await startReplica(purser, { tls: true, env: elsewhere })
    await page.run('window.sent.length = 0')
    await page.run(`(() => {
      const plain = window.fetch
      window.fetch = (path, init) => (path.endsWith(':passkey') ? (window.sent.push(init.body), Promise.reject(new Error('kept'))) : plain(path, init))
    })()`)
    await click(page, '#with-passkey')
    await page.until('window.sent.length === 1')
    const [body = ''] = await page.run<string[]>('window.sent')
    expect((await other.call('POST', '/api/v1/sessions:passkey', JSON.parse(body))).status).toBe(401)
    const refused = (await readLog(purser)).findLast(({ action }) => action === 'operator.login')
    expect(refused).toMatchObject({ detail: { cause: 'the response is for another origin' } })
    await other.stop()
    await page.send('Page.reload')
    await shows(page, 'log-in')
  }, 60_000)

  it('is not offered at another host name of the server', async () => {
    const elsewhere = await browser.open(`${origin.replace('localhost', '127.0.0.1')}/login`)
    await shows(elsewhere, 'log-in')
    await click(elsewhere, '#with-passkey')
    await elsewhere.until(`document.getElementById('message').textContent !== ''`)
    expect(await message(elsewhere)).toMatch(/^The browser refuses passkeys here/)
  })

  it('cannot be used without its user', async () => {
    await page.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false })
    await click(page, '#with-passkey')
    await page.until(`document.getElementById('message').textContent !== ''`)
    expect(await message(page)).toMatch(/^No passkey was used/)
    await page.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true })
  })

  it('logs in no longer once it is removed', async () => {
    await click(page, '#with-passkey')
    await shows(page, 'account')
    await click(page, '#passkeys li button')
    await page.until(`document.querySelectorAll('#passkeys li').length === 0`)
    expect(await message(page)).toBe('The passkey test key is removed.')
    await logOut()
    await click(page, '#with-passkey')
    await page.until(`document.getElementById('message').textContent.startsWith('This passkey')`)
    expect((await ask('listPasskeys', { name: 'ada' })).body).toEqual({ items: [] })
  })

  it('was shown by a page that loads nothing from elsewhere, and breaks no rule of its policy', () => {
    expect(page.requests.filter((url) => !url.startsWith(`${origin}/`))).toEqual([])
    expect(page.requests).toEqual(expect.arrayContaining([`${origin}/login`, `${origin}/login.js`]))
    // Refused logins are there as failed requests.
    const violations = page.complaints.filter((text) => !text.includes('the server responded with a status of 40'))
    expect(violations).toEqual([])
  })
})
