/** An OpenID provider for tests: the process oidc-provider.mjs, and a browser for its pages. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { makeIdentities } from '../outbound/tls-server.ts'
import { httpsFetch } from './https-fetch.ts'

export type LoginProvider = {
  issuer: string
  caPem: string
  /**
   * Opens a page as this person and confirms every form, or denies the login. Returns the last page, or the target of
   * its redirect.
   */
  visit(link: string, person: string, deny?: 'deny'): Promise<string>
  stop(): void
}

const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code'

type Settings = {
  /** Public clients by id: their grants beside device codes. */
  clients?: { id: string; grants: string[]; redirectUris?: string[] }[]
  groups?: Record<string, string[]>
  /** Lifetime of device codes, 60 by default. */
  codeSeconds?: number
  /** Whether ID tokens for device codes carry the nonce of the request; false by default. */
  deviceNonce?: boolean
  /** 600 by default. */
  idTokenSeconds?: number
}

export async function startLoginProvider({
  clients = [
    { id: 'purser-cli', grants: [deviceGrant] },
    { id: 'another-app', grants: [deviceGrant] },
  ],
  groups = { ada: ['developers'], eve: ['sales'] },
  codeSeconds = 60,
  idTokenSeconds = 600,
  deviceNonce = false,
}: Settings = {}): Promise<LoginProvider> {
  const { ca, good } = makeIdentities()
  const settings = JSON.stringify({ ...good, clients, groups, codeSeconds, idTokenSeconds, deviceNonce })
  const child = spawn(process.execPath, [fileURLToPath(new URL('oidc-provider.mjs', import.meta.url)), settings], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [issuer] = (await once(createInterface(child.stdout), 'line')) as [string]
  return {
    issuer,
    caPem: ca,
    visit: (link, person, deny) =>
      visit(link, { ca, fields: { login: person, password: 'any' }, deny: deny === 'deny' }),
    stop: () => void child.kill(),
  }
}

type Visit = { ca: string; fields: Record<string, string>; deny: boolean }

const attribute = (tag: string, name: string): string | undefined => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1]

/** The submitted form of a page: its hidden fields, and those that a person fills in. */
function submission(page: string, { fields }: Visit): { action: string; body: string } | undefined {
  const [form] = /<form\b[^>]*>[^]*?<\/form>/.exec(page) ?? []
  if (form === undefined) return undefined
  const values: Record<string, string> = {}
  for (const [tag] of form.matchAll(/<input\b[^>]*>/g)) {
    const name = attribute(tag, 'name')
    if (name !== undefined) values[name] = fields[name] ?? attribute(tag, 'value') ?? ''
  }
  return { action: attribute(form, 'action') ?? '', body: new URLSearchParams(values).toString() }
}

async function visit(link: string, visitor: Visit): Promise<string> {
  const cookies = new Map<string, string>()
  let [url, body] = [link, undefined as string | undefined]
  let isOver = false
  for (let step = 0; step < 15; step++) {
    const reply = await httpsFetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      ca: visitor.ca,
      ...(body !== undefined && { body }),
    })
    for (const cookie of reply.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      cookies.set(name, value)
    }
    const location = reply.headers.get('location')
    const page = await reply.text()
    const form = location === null ? submission(page, visitor) : undefined
    const isDenied = visitor.deny && form !== undefined && page.includes('name="abort"')
    if (location !== null && new URL(location, url).origin !== new URL(link).origin) return location
    if (location === null && (!form || isOver)) return page
    url = new URL(location ?? form?.action ?? '', url).href
    body = isDenied ? `${form.body}&abort=yes` : form?.body
    isOver = isDenied
  }
  throw new Error(`the pages of ${link} do not end`)
}
