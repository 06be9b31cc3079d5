/** examples/curl, run as its README says. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Dev, startDev } from '../support/dev.ts'
import { runShell } from '../support/shell.ts'

const script = fileURLToPath(new URL('../../examples/curl/get-credentials.sh', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'purser-curl-'))
let dev: Dev
const run = (ca: string, token: string, ...more: string[]) =>
  runShell(script, [dev.url, ca, token, ...more], { cwd: folder })

beforeAll(async () => {
  dev = await startDev()
})
afterAll(async () => {
  await dev.stop()
  dev.forget()
  rmSync(folder, { recursive: true, force: true })
})

it('is as short as stated', () => {
  const lines = readFileSync(script, 'utf8').split('\n')
  const code = lines.filter((line) => line !== '' && !line.startsWith('#') && !line.startsWith('set '))
  expect(code.length).toBeLessThanOrEqual(10)
})

it('gets a certificate whose chain openssl verifies', async () => {
  const { code, out, err } = await run(join(dev.dataDir, 'ca.pem'), join(dev.dataDir, 'dev/web.jwt'))
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toContain('chain.pem: OK')
  expect(out).toContain('URI:spiffe://dev.purser.local/dev/web')
  expect(statSync(join(folder, 'key.pem')).mode & 0o777).toBe(0o600)
})

it('reads a secret too, whose value is on no screen', async () => {
  const token = join(dev.dataDir, 'dev/web.jwt')
  const { code, out, err } = await run(join(dev.dataDir, 'ca.pem'), token, 'dev/web/database')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^"path":"dev\/web\/database","version":1$/m)
  const reply: { secrets: { data: { password: string } }[] } = JSON.parse(
    readFileSync(join(folder, 'reply.json'), 'utf8'),
  )
  expect(out).not.toContain(reply.secrets[0]?.data.password)
  expect(statSync(join(folder, 'reply.json')).mode & 0o777).toBe(0o600)
})

it('shows the reason of a refusal, and fails', async () => {
  const token = join(folder, 'stranger.jwt')
  writeFileSync(token, 'eyJhbGciOiJub25lIn0.e30.c2ln')
  const { code, out } = await run(join(dev.dataDir, 'ca.pem'), token)
  expect(code).not.toBe(0)
  expect(out).toContain('attestation_failed')
})

it('sends nothing to an unverified server', async () => {
  const { code, err } = await run('/etc/ssl/certs/ca-certificates.crt', join(dev.dataDir, 'dev/web.jwt'))
  expect(code).not.toBe(0)
  expect(err).toMatch(/certificate/i)
})
