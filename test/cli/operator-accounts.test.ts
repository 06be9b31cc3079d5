/** `purser operator` and `purser token` against a real server over TLS. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
const folder = mkdtempSync(join(tmpdir(), 'purser-cli-'))
const run = (args: string[], token = purser.admin) =>
  cli(args, {
    env: { PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'), PURSER_API_TOKEN: token },
  })
const line = (text: string, token?: string) => run(text.split(' '), token)
const log = expect.stringMatching(/log 1\/\d+\n$/)

beforeAll(async () => {
  purser = await startPurser({ tls: true })
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('purser operator', () => {
  it('creates, lists, shows, replaces, disables, enables and deletes', async () => {
    expect(await line('operator create ada --role operator')).toMatchObject({ code: 0, err: '', out: log })
    const { out } = await line('operator list')
    expect(out).toMatch(
      /^NAME +ROLE +BOUND +STATE +CREATED +REV\nada +operator +everything +live +.* 1\nadmin +admin +everything +live/,
    )
    expect((await line('operator get ada')).out).toContain('role: operator')
    expect((await line('operator replace ada --role auditor')).out).toMatch(/^operator ada replaced +role auditor +rev/)
    expect((await line('operator disable ada --reason leave')).out).toMatch(/^operator ada disabled +revision 3 +log/)
    expect((await line('operator list')).out).toMatch(/^ada +auditor +everything +disabled/m)
    const bound = '--secret-prefix prod/shop/ --name-prefix shop- --attestor prod-eu --audience payments'
    expect((await line(`operator replace ada --role auditor ${bound}`)).out).toMatch(/bound prod\/shop\/ +revision 4/)
    expect((await line('operator replace ada --role auditor')).out).toMatch(/bound prod\/shop\/ +revision 5/)
    expect((await line('operator replace ada --role auditor --everything')).out).toMatch(/role auditor +revision 6/)
    expect((await line('operator enable ada')).out).toMatch(/^operator ada enabled/)
    expect(await line('operator delete ada --revision 3')).toMatchObject({ code: 3, out: '' })
    expect((await line('operator delete ada')).out).toMatch(/^operator ada deleted/)
  })

  it('needs a role that exists', async () => {
    expect(await line('operator create ada')).toMatchObject({ code: 2, out: '' })
    const { code, err } = await line('operator create ada --role root')
    expect([code, err]).toEqual([2, expect.stringContaining('admin, operator, auditor')])
  })

  it('explains why the last admin stays, with the remedy', async () => {
    const { code, err } = await line('operator disable admin')
    expect(code).toBe(3)
    expect(err).toContain('this would leave no enabled admin with a live admin token')
    expect(err).toContain('create a token for another admin first')
  })

  it('applies the output of get', async () => {
    await line('operator create bea --role operator')
    const path = join(folder, 'bea.yaml')
    writeFileSync(path, (await line('operator get bea')).out)
    expect((await line(`operator apply -f ${path}`)).out).toMatch(/^operator bea +unchanged +revision 1/)
    writeFileSync(path, 'name: bea\nrole: auditor\n---\nname: cy\nrole: operator\n')
    expect((await line(`operator apply -f ${path}`)).out).toMatch(
      /^operator bea +replaced +revision 2\noperator cy +created +revision 1\n/,
    )
  })
})

describe('purser token', () => {
  it('prints a token once to stdout, and its description to stderr', async () => {
    const { code, out, err } = await run([
      ...'token create --operator bea --role auditor --expires 24h'.split(' '),
      '--route',
      'GET /api/v1/workloads',
      '--route',
      'GET /api/v1/credentials/self',
      '--description',
      'a report',
    ])
    expect([code, out]).toEqual([0, expect.stringMatching(/^purser_api_[\w-]{43}\n$/)])
    expect(err).toMatch(
      /^tok_\w{32}: for bea in the role auditor, limited to GET \/api\/v1\/credentials\/self, GET \/api\/v1\/workloads, valid until .*\. It is not shown again\.\n$/,
    )
    expect((await line('whoami', out.trim())).out).toMatch(/routes +GET \/api\/v1\/credentials\/self, GET/)
    expect(await line('attestor list', out.trim())).toMatchObject({ code: 3, out: '' })
    const listing = await line('token list --operator bea')
    expect(listing.out).toMatch(/bea +auditor +2 .* live +a report\n/)
    expect(listing.out).not.toContain(out.trim())
  })

  it('suggests the nearest route', async () => {
    const { code, err } = await run(['token', 'create', '--route', 'GET /api/v1/workload'])
    expect([code, err]).toEqual([3, expect.stringContaining('did you mean GET /api/v1/workloads?')])
  })

  it('replaces the token of the caller, and revokes by id', async () => {
    const first = (await line('token create --operator cy --expires 1h')).out.trim()
    const { out, err } = await line('token replace --expires 2h --reason rotation', first)
    expect(err).toMatch(/^tok_\w+: for cy in the role operator, valid until .*\ntok_\w+ is revoked\n$/)
    const second = out.trim()
    expect((await line('whoami', first)).code).toBe(3)
    expect((await line('whoami', second)).code).toBe(0)
    expect(await line('token list', second)).toMatchObject({ code: 3, out: '' })
    const own = await line('token list --operator self -o json', second)
    const { items } = JSON.parse(own.out) as { items: { id: string; revokedAt?: string }[] }
    expect(items.map(({ revokedAt }) => revokedAt === undefined)).toEqual([true, false])
    expect((await line(`token revoke ${items[0]?.id ?? ''}`, second)).out).toMatch(/^token tok_\w+ revoked +log/)
    expect((await line('whoami', second)).code).toBe(3)
  })

  it('shows a role that the operator has lost', async () => {
    await line('operator create fay --role admin')
    const token = (await line('token create --operator fay')).out.trim()
    await line('operator replace fay --role auditor')
    expect((await line('whoami', token)).out).toMatch(/role +admin, as far as auditor allows\n/)
  })
})
