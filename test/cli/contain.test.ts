/** `purser contain` at a terminal and in a script. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const web = 'spiffe://example.org/lab/web'
let purser: TestPurser
let lab: Lab
beforeAll(async () => {
  purser = await startPurser({ tls: true })
  lab = await createLab(purser)
})
afterAll(() => purser.stop())

function run(line: string, options: { stdin?: string; typed?: true } = {}) {
  const env = {
    PURSER_ADDR: purser.url,
    PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
    PURSER_API_TOKEN: purser.admin,
  }
  const isRead = /^contain (list|get)/.test(line)
  return cli([...line.split(' '), ...(isRead ? [] : ['--reason', 'incident 42'])], { env, ...options })
}
async function list(): Promise<string[]> {
  const { code, out } = await run('contain list')
  expect(code).toBe(0)
  return out.split('\n').slice(1, -1)
}

it('names one subject, and selectors of an attestor alone', async () => {
  for (const line of [
    'contain',
    `contain --spiffe-id ${web} --operator admin`,
    `contain --spiffe-id ${web} --selector oidc:sub=web`,
    'contain --attestor lab --selector oidc:sub=web --selector oidc:sub=api',
  ])
    expect((await run(line)).code, line).toBe(2)
})

it('changes nothing in a dry run, without a terminal, or when another name is typed', async () => {
  const { session } = await lab.get({ sub: 'web' })
  const dry = await run(`contain --session ${session} --dry-run`)
  expect(dry).toMatchObject({ code: 0, out: expect.stringContaining('would revoke') })
  expect(dry.out).toContain('1 at payments, unless it asks Purser, until')
  expect(await run(`contain --session ${session}`)).toMatchObject({ code: 2, err: expect.stringContaining('--yes') })
  const other = await run(`contain --session ${session}`, { stdin: 'ses_other\n', typed: true })
  expect(other).toMatchObject({ code: 2, out: '', err: expect.stringContaining('not confirmed') })
  expect(await list()).toEqual([])
})

it('contains once its name is typed, waits, and shows and releases it', async () => {
  const { session } = await lab.get({ sub: 'web' })
  const contained = await run(`contain --session ${session}`, { stdin: `${session}\n`, typed: true })
  expect(contained).toMatchObject({ code: 0, out: expect.stringMatching(/state +contained\n/) })
  expect(contained.err).toContain('dry run: nothing was changed')
  expect(contained.out).toMatch(/revoked +1 certificate, 1 JWT, 1 access token, 1 session\n/)
  const [row = ''] = await list()
  const [id = ''] = row.split(' ')
  expect(row).toContain(`session ${session}`)
  expect((await run(`contain get ${id}`)).out).toBe(contained.out)
  expect((await run(`contain release ${id}`)).out).toMatch(/^released session ses_[0-9a-f]+ {2}log 1\/\d+\n$/)
  expect((await run(`contain release ${id}`)).code).toBe(3)
})

it('leaves the rest to the server with --no-wait', async () => {
  await lab.get({ sub: 'web' })
  const { code, out } = await run('contain --attestor lab --selector oidc:sub=web --since 1h --yes --no-wait -o json')
  expect({ code, blocks: (JSON.parse(out) as { blocks: string }).blocks }).toEqual({ code: 0, blocks: 'selectors' })
})
