/** `purser dev`: its printed commands work unchanged, also after the next start. */
import { readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, expect, it, vi } from 'vitest'
import { cli } from '../support/cli.ts'
import { type Dev, startDev } from '../support/dev.ts'
import { runShell } from '../support/shell.ts'

// A whole server starts in a test, in seconds on an idle machine.
vi.setConfig({ testTimeout: 90_000 })

let dev: Dev | undefined
let before: Dev | undefined
afterAll(async () => {
  await dev?.stop()
  dev?.forget()
})

const printed = (out: string, pattern: RegExp): string => pattern.exec(out)?.[1] ?? ''
const adminIn = (out: string): string => printed(out, /^ {2}admin token +(purser_api_[\w-]{43})$/m)

it('prints a working curl for certificate, JWT, secret and receipt, and the command that lists the consumers', async () => {
  dev = await startDev()
  const curl = /^curl [\s\S]*?^EOF$/m.exec(dev.out)?.[0] ?? ''
  const { code, out } = await runShell('sh', ['-s'], { input: `${curl}\n` })
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({
    spiffeId: 'spiffe://dev.purser.local/dev/web',
    x509: { certificateChain: expect.stringContaining('BEGIN CERTIFICATE') },
    jwts: [{ audience: ['orders'] }],
    secrets: [{ path: 'dev/web/database', version: 1, data: { username: 'web' } }],
    receipt: { epoch: 1 },
  })
  const { session, receipt }: { session: { id: string }; receipt: { index: number } } = JSON.parse(out)
  const [, file = '', line = ''] = /^\. (\S+)\npurser (.+)$/m.exec(dev.out) ?? []
  const sourced = (await runShell('sh', ['-c', '. "$0" && env', file])).out
  const env = Object.fromEntries([...sourced.matchAll(/^(PURSER_\w+)=(.*)$/gm)].map(([, key, value]) => [key, value]))
  const listing = await cli(line.split(' '), { env })
  expect(listing).toMatchObject({ code: 0, err: '' })
  expect(listing.out.split('\n')[1]?.split(/ {2,}/)).toEqual([
    'web',
    session.id,
    '1',
    `entry ${receipt.index}`,
    'verified',
  ])
})

it('prints what an operator needs: address, fingerprint and token', async () => {
  const { out, url, dataDir } = dev ?? (await startDev())
  const fingerprint = printed(out, /^ {2}fingerprint +([0-9a-f]{64})$/m)
  const env = { PURSER_ADDR: url, PURSER_CA_SHA256: fingerprint, PURSER_API_TOKEN: adminIn(out) }
  expect((await cli(['workload', 'list'], { env })).out).toMatch(/^web +dev +spiffe:\/\/dev\.purser\.local\/dev\/web /m)
  expect(out).toMatch(/^ {2}dev\.purser\.local\/log\/1\+[0-9a-f]{8}\+/m)
  for (const name of ['admin-token', 'operator.sh', 'stand-in.key', 'web.jwt']) {
    expect(statSync(join(dataDir, 'dev', name)).mode & 0o777).toBe(0o600)
  }
})

it('fits into 80 columns, and uses colours only on a terminal', () => {
  const lines = (dev?.out ?? '').replaceAll(dev?.dataDir ?? '', './purser-data').split('\n')
  expect(lines.filter((line) => line.length > 80)).toEqual([])
  expect(dev?.out).not.toContain('\u001b')
})

it('refuses a port in --port that is in use', async () => {
  const { port } = new URL(dev?.url ?? '')
  const argv = ['dev', '--port', port, '--data-dir', join(dev?.dataDir ?? '', 'second')]
  expect(await cli(argv)).toMatchObject({ code: 1, err: `purser: port ${port} is in use\n` })
})

it('Ctrl-C stops it', async () => {
  const result = await dev?.stop()
  expect(result).toMatchObject({ code: 0, err: '' })
  before = dev
  dev = undefined
})

it('starts again with its state, on another port when its own is in use', async () => {
  if (!before) throw new Error('there is no earlier start')
  const { port } = new URL(before.url)
  const other = createServer()
  await new Promise<void>((resolve, reject) => {
    other.once('error', reject)
    other.listen(Number(port), '127.0.0.1', resolve)
  })
  dev = await startDev({ dataDir: before.dataDir, env: { DATABASE_URL: 'postgres://a@127.0.0.1:1/not-ours' } })
  other.close()
  expect(new URL(dev.url).port).not.toBe(port)
  expect(adminIn(dev.out)).toBe(adminIn(before.out))
  const env = {
    PURSER_ADDR: dev.url,
    PURSER_CA_FILE: join(dev.dataDir, 'ca.pem'),
    PURSER_API_TOKEN: readFileSync(join(dev.dataDir, 'dev/admin-token'), 'utf8').trim(),
  }
  const { out } = await cli(['explain', '--proof', join(dev.dataDir, 'dev/web.jwt')], { env })
  expect(out).toMatch(/^granted /)
  const { err } = await dev.stop()
  expect(err).toContain('DATABASE_URL is ignored')
  expect(err).toContain(`port ${port} is in use`)
})
