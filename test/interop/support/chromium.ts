// Chromium without a window, driven by the DevTools protocol over a pipe: NUL-terminated JSON on file descriptors 3 and 4.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The browser of this machine; undefined where none is installed. */
export const findChromium = (): string | undefined =>
  [process.env['PURSER_TEST_CHROMIUM'] ?? '', ...places].find((path) => path !== '' && existsSync(path))

type Message = {
  id?: number
  method?: string
  sessionId?: string
  params?: Record<string, unknown>
  result?: Record<string, unknown>
  error?: { message: string }
}

export type Page = {
  send(method: string, params?: object): Promise<Record<string, unknown>>
  /** Evaluates JavaScript in the page, and awaits it. */
  run<T>(expression: string): Promise<T>
  /** Waits until the expression is true in the page. */
  until(expression: string): Promise<void>
  /** Texts of the console and of violations of the content security policy. */
  complaints: string[]
  /** The URL of every request so far. */
  requests: string[]
}

export type Browser = { open(url: string): Promise<Page>; stop(): Promise<void> }

/** @param fingerprint SHA-256 of the public key of the server, base64: its certificate is trusted */
export async function startChromium(path: string, fingerprint: string): Promise<Browser> {
  const home = await mkdtemp(join(tmpdir(), 'purser-chromium-'))
  const profile = join(home, 'profile')
  await mkdir(profile)
  const child = spawn(
    path,
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--no-first-run',
      `--user-data-dir=${profile}`,
      `--ignore-certificate-errors-spki-list=${fingerprint}`,
      '--remote-debugging-pipe',
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: home } },
  )
  const [input, output] = [child.stdio[3] as Duplex, child.stdio[4] as Duplex]
  const waiting = new Map<number, (message: Message) => void>()
  const listeners = new Set<(message: Message) => void>()
  let ids = 0
  let rest = ''
  output.setEncoding('utf8')
  output.on('data', (text: string) => {
    const parts = (rest + text).split('\0')
    rest = parts.pop() ?? ''
    for (const part of parts) {
      const message: Message = JSON.parse(part)
      if (message.id === undefined) for (const listener of listeners) listener(message)
      else waiting.get(message.id)?.(message)
    }
  })

  function send(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const id = ++ids
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`Chromium did not answer ${method}`)), 30_000)
      waiting.set(id, ({ result, error }) => {
        waiting.delete(id)
        clearTimeout(timer)
        if (error) reject(new Error(`${method}: ${error.message}`))
        else resolve(result ?? {})
      })
      input.write(`${JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) })}\0`)
    })
  }

  async function open(url: string): Promise<Page> {
    const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true })
    const session = String(sessionId)
    const complaints: string[] = []
    const requests: string[] = []
    listeners.add(({ method, params, sessionId: from }) => {
      if (from !== session) return
      if (method === 'Log.entryAdded' || method === 'Runtime.exceptionThrown') complaints.push(JSON.stringify(params))
      if (method === 'Network.requestWillBeSent')
        requests.push(String((params?.['request'] as { url?: unknown } | undefined)?.url))
      if (method === 'Page.javascriptDialogOpening') void send('Page.handleJavaScriptDialog', { accept: true }, session)
    })
    const page: Page = {
      complaints,
      requests,
      send: (method, params) => send(method, params, session),
      async run<T>(expression: string): Promise<T> {
        const parameters = { expression, awaitPromise: true, returnByValue: true, userGesture: true }
        const { result, exceptionDetails } = await send('Runtime.evaluate', parameters, session)
        if (exceptionDetails) throw new Error(`in the page: ${JSON.stringify(exceptionDetails)}`)
        return (result as { value: T }).value
      },
      async until(expression) {
        for (let n = 0; n < 200; n++) {
          if (await page.run<boolean>(`Boolean(${expression})`)) return
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
        throw new Error(`never true in the page: ${expression}; it says ${await page.run<string>('document.body.innerText')}`) // prettier-ignore
      },
    }
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`)
    await page.send('Page.navigate', { url })
    await page.until('document.readyState === "complete"')
    return page
  }

  return {
    open,
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
      await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
}
