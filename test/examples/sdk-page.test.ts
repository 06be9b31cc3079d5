/**
 * Every example of docs/sdk.md, run unchanged, in the order of the page, as the workload that the line before it
 * names.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { sdkProgram } from '../support/built-sdk.ts'
import { type Dev, startDev } from '../support/dev.ts'
import { httpsFetch } from '../support/https-fetch.ts'
import { definitionFor } from '../support/leases.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 90_000 })

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/sdk.md'), 'utf8')
const examples = [
  ...page.matchAll(/<!-- as (\w+)(, stays up|, beside it|, with a database)? -->\n\n```js\n([\s\S]*?)```/g),
].map(([, as = '', flags = '', code = ''], n) => ({ n: n + 1, as, flags, code }))

let dev: Dev
let target: TargetServer
let service: ChildProcess | undefined
beforeAll(async () => {
  dev = await startDev()
  target = await startTarget()
  // A maximum lifetime of seconds, so that the page's pool is replaced while it runs.
  const lives = { defaultLifetimeSeconds: 6, maxLifetimeSeconds: 7 }
  await asOperator('POST', '/api/v1/databases', definitionFor(target, lives))
  const { id: _, createdAt: __, revision, ...entry } = await asOperator('GET', '/api/v1/workloads/web')
  const grants = { ...(entry['grants'] as object), databases: ['orders'] }
  const spec = Object.fromEntries(Object.entries({ ...entry, grants }).filter(([name]) => isWritten.has(name)))
  await asOperator('PUT', '/api/v1/workloads/web', spec, { 'if-match': `"${String(revision)}"` })
})

const isWritten = new Set(['name', 'attestor', 'match', 'spiffeId', 'grants', 'maxSessionSeconds'])

async function asOperator(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
  const read = (name: string): string => readFileSync(join(dev.dataDir, name), 'utf8').trim()
  const response = await httpsFetch(dev.url + path, {
    method,
    ca: read('ca.pem'),
    headers: { authorization: `Bearer ${read('dev/admin-token')}`, 'content-type': 'application/json', ...headers },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  if (response.status > 299) throw new Error(text)
  return JSON.parse(text) as Record<string, unknown>
}

afterAll(async () => {
  service?.kill('SIGKILL')
  await dev.stop()
  await target.stop()
  dev.forget()
})

function run(as: string, code: string): ChildProcess {
  const child = spawn(process.execPath, [`--env-file=${dev.dataDir}/dev/${as}.env`, ...sdkProgram(code)], {
    cwd: root,
    env: { PATH: process.env.PATH, PGHOST: target.host, PGPORT: String(target.port), PGDATABASE: target.database },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout?.setEncoding('utf8')
  child.stderr?.setEncoding('utf8')
  return child
}

it('has an example in each block of code, and each names its workload', () => {
  expect(examples.length).toBeGreaterThan(8)
  expect(page.match(/```js/g)).toHaveLength(examples.length)
})

/** Servers print that they are up. The other examples must end by themselves with code 0 and some output. */
it.each(examples)('example $n, as $as $how', async ({ as, flags, code }) => {
  const child = run(as, code)
  let [out, err] = ['', '']
  child.stdout?.on('data', (text: string) => (out += text))
  child.stderr?.on('data', (text: string) => (err += text))
  if (flags === ', stays up') {
    service?.kill('SIGKILL')
    service = child
    await Promise.race([vi.waitFor(() => expect(out).toBe('up\n'), { timeout: 60_000 }), once(child, 'exit')])
    expect({ out, err }).toEqual({ out: 'up\n', err: '' })
    return
  }
  const [exitCode] = (await once(child, 'close')) as [number]
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' })
  expect(out).not.toBe('')
  if (flags === ', with a database') expect(new Set(out.trim().split('\n')).size).toBeGreaterThan(1)
  if (flags === ', beside it') expect(out).toContain('hello, spiffe://dev.purser.local/dev/web')
})
