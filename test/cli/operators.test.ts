/** The operators' verbs against a real server over TLS. */
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createApi } from '../../src/cli/api.ts'
import { cli } from '../support/cli.ts'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { openssl } from '../support/openssl.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

let purser: TestPurser
let issuer: Issuer
const folder = mkdtempSync(join(tmpdir(), 'purser-cli-'))
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const trusted = () => ({ PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem') })
const run = (line: string, stdin?: string) =>
  cli(line.split(' '), { env: { ...trusted(), PURSER_API_TOKEN: purser.admin }, ...(stdin !== undefined && { stdin }) })
/** Runs a command line that must succeed, and returns its JSON. */
async function json(line: string, stdin?: string): Promise<Record<string, unknown>> {
  const { code, out, err } = await run(`${line} -o json`, stdin)
  expect({ code, line, err: code === 0 ? '' : err }).toEqual({ code: 0, line, err: '' })
  return JSON.parse(out) as Record<string, unknown>
}
/** The end of its output. */
const log = expect.stringMatching(/log 1\/\d+\n$/)

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  const jwks = file('jwks.json', JSON.stringify({ keys: [issuer.jwk] }))
  const created = await run(`attestor create lab --kind oidc --issuer ${issuer.issuer} --jwks-file ${jwks}`)
  expect(created).toMatchObject({ code: 0, err: '', out: log })
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('trust', () => {
  const list = (env: Record<string, string>) =>
    cli(['workload', 'list'], { env: { PURSER_ADDR: purser.url, PURSER_API_TOKEN: purser.admin, ...env } })

  it('the roots of Node.js do not verify a Purser with its own CA, and the token is not sent', async () => {
    const before = purser.logs.length
    const { code, out, err } = await list({})
    expect({ code, out }).toEqual({ code: 5, out: '' })
    expect(err).toContain('PURSER_CA_FILE')
    expect(purser.logs.slice(before).join('')).not.toContain('request')
  })

  it('a fingerprint of the root suffices', async () => {
    const { fingerprint256 } = new X509Certificate(purser.roots)
    expect(await list({ PURSER_CA_SHA256: fingerprint256 })).toMatchObject({ code: 0 })
  })

  it('another fingerprint is refused', async () => {
    const { code, err } = await list({ PURSER_CA_SHA256: 'ab'.repeat(32) })
    expect(code).toBe(5)
    expect(err).toContain('fingerprint')
  })

  it('a flag takes precedence over the environment', async () => {
    const env = {
      PURSER_ADDR: 'https://127.0.0.1:1',
      PURSER_CA_SHA256: 'ab'.repeat(32),
      PURSER_API_TOKEN: purser.admin,
    }
    const { PURSER_ADDR: addr, PURSER_CA_FILE: ca } = trusted()
    expect(await cli(['workload', 'list', '--addr', addr, '--ca-file', ca], { env })).toMatchObject({ code: 0 })
  })

  it('an invalid token ends with 3 and names the variable to set', async () => {
    const { code, err } = await cli(['workload', 'list'], { env: { ...trusted(), PURSER_API_TOKEN: 'purser_api_x' } })
    expect(code).toBe(3)
    expect(err).toMatch(/\(4\d\d \w+\)/)
    expect(err).not.toContain('purser_api_x')
  })
})

describe('workload', () => {
  it('create refuses an entry without a fact to match', async () => {
    expect(await run('workload create none --attestor lab')).toMatchObject({ code: 2, out: '' })
  })

  it("shows the server's refusal with its pointer, only on stderr", async () => {
    const { code, out, err } = await run(
      'workload create bad --attestor lab --match oidc:sub=x --spiffe-id spiffe://example.org/x',
    )
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toMatch(/^purser: .* \(4\d\d \w+\)\n {2}\/spiffeId: /)
    expect(err).toMatch(/request: req_[0-9a-f]{32}\n$/)
  })

  it('create fills in the SPIFFE ID, and grants what the options name', async () => {
    const created = await json(
      'workload create web --attestor lab --match oidc:sub=web --dns web.lab,www.lab --audience payments --jwt-lifetime 5m --session 2h --reason first',
    )
    expect(created).toMatchObject({
      name: 'web',
      spiffeId: 'spiffe://example.org/lab/web',
      match: { 'oidc:sub': 'web' },
      grants: { x509: { dnsNames: ['web.lab', 'www.lab'] }, jwt: { audiences: ['payments'], maxLifetimeSeconds: 300 } },
      maxSessionSeconds: 7200,
    })
  })

  it('create grants secrets and databases', async () => {
    const line = 'workload create store --attestor lab --match oidc:sub=store --no-x509'
    const grants = '--secret prod/store/** --secret prod/db --secret prod/*=read,list --database orders,stock'
    expect(await json(`${line} ${grants} --reason first`)).toMatchObject({
      grants: {
        secrets: [
          { paths: ['prod/store/**', 'prod/db'], actions: ['read', 'watch'] },
          { paths: ['prod/*'], actions: ['read', 'list'] },
        ],
        databases: ['orders', 'stock'],
      },
    })
    expect((await run(`${line} --secret =read`)).code).toBe(2)
    expect((await run(`${line} --secret prod/x=write`)).code).toBe(3)
    expect(await run('workloads rm store')).toMatchObject({ code: 0, out: log })
  })

  it('create refuses a name that is in use', async () => {
    const { code, err } = await run('workload create web --attestor lab --match oidc:sub=web')
    expect(code).toBe(3)
    expect(err).toContain('409 already_exists')
  })

  it('create --from-proof finds the attestor, reads the token here and does not send it', async () => {
    const token = await issuer.token({ sub: 'repo:7' })
    const { code, out, err } = await run(`workload create seven --from-proof ${file('seven.jwt', token)}`)
    expect({ code, out }).toEqual({ code: 0, out: log })
    expect(err).toBe('read from the proof, not verified: oidc:sub=repo:7\n')
    expect(purser.logs.join('')).not.toContain(token)
    expect(
      (await purser.call('GET', '/api/v1/workloads/seven', undefined, { token: purser.admin })).body.match,
    ).toEqual({
      'oidc:sub': 'repo:7',
    })
  })

  it('create --from-proof of an unknown issuer reports that no attestor accepts it', async () => {
    const other = await createIssuer('https://other.example')
    const { code, err } = await run(`workload create x --from-proof ${file('other.jwt', await other.token())}`)
    expect({ code, err }).toEqual({
      code: 2,
      err: `purser: no attestor accepts proofs of https://other.example for ${audience}: create one, or name one with --attestor\n`,
    })
  })

  it('create --from-proof refuses malformed text, and does not print it', async () => {
    const { code, err } = await run(`workload create x --attestor lab --from-proof ${file('no.jwt', 'hunter2')}`)
    expect(code).toBe(2)
    expect(err).not.toContain('hunter2')
  })

  it('apply creates, replaces or leaves unchanged, and --dry-run shows the plan', async () => {
    const yaml = (seconds: number): string =>
      ['orders', 'stock']
        .map(
          (name) =>
            `name: ${name}\nattestor: lab\nmatch: { 'oidc:sub': ${name} }\nspiffeId: spiffe://example.org/lab/${name}\ngrants: { x509: { maxLifetimeSeconds: ${name === 'orders' ? seconds : 60} } }\n`,
        )
        .join('---\n')
    const apply = async (line: string, seconds: number) => {
      const { items } = (await json(line, yaml(seconds))) as {
        items: { name: string; did: string; revision: number }[]
      }
      return items.map((item) => `${item.name} ${item.did} ${item.revision}`)
    }
    expect(await apply('workload apply -f -', 600)).toEqual(['orders created 1', 'stock created 1'])
    expect(await apply('workload apply -f -', 600)).toEqual(['orders unchanged 1', 'stock unchanged 1'])
    expect(await apply('workload apply -f - --dry-run', 900)).toEqual(['orders replaced 2', 'stock unchanged 1'])
    expect(await apply('workload apply -f -', 900)).toEqual(['orders replaced 2', 'stock unchanged 1'])
  })

  describe('apply accepts the output of get', () => {
    const applied = async (line: string, text: string) => {
      const { items } = (await json(line, text)) as { items: { name: string; did: string; revision: number }[] }
      return items.map(({ name, did, revision }) => `${name} ${did} ${revision}`)
    }

    it.each([
      ['workload', 'orders'],
      ['attestor', 'lab'],
    ])('%s', async (noun, name) => {
      const { out } = await run(`${noun} get ${name}`)
      const { revision } = (await json(`${noun} get ${name}`)) as { revision: number }
      expect(await applied(`${noun} apply -f -`, out)).toEqual([`${name} unchanged ${revision}`])
      const edited = `${out}managedBy: git:shop\n`
      const next = `${name} replaced ${revision + 1}`
      expect(await applied(`${noun} apply -f - --dry-run`, edited)).toEqual([next])
      expect(await applied(`${noun} apply -f -`, edited)).toEqual([next])
      expect(await applied(`${noun} apply -f -`, edited)).toEqual([`${name} unchanged ${revision + 1}`])
      // An earlier output of get is older, and still a definition.
      expect(await applied(`${noun} apply -f -`, out)).toEqual([`${name} replaced ${revision + 2}`])
    })

    it('and a definition that omits the defaults of the server', async () => {
      const definition = `name: ci\nkind: oidc\npreset: github-actions\naudience: ${audience}\n`
      expect(await applied('attestor apply -f -', definition)).toEqual(['ci created 1'])
      expect(await applied('attestor apply -f -', definition)).toEqual(['ci unchanged 1'])
      await run('attestor delete ci')
    })

    it('but apply does not change "disabled", and names the verb that does', async () => {
      const { out } = await run('workload get orders')
      const disabledDefinition = out.replace('disabled: false', 'disabled: true')
      for (const line of ['workload apply -f -', 'workload apply -f - --dry-run']) {
        const { code, err } = await run(line, disabledDefinition)
        expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('purser workload disable orders') })
      }
      await run('workload disable orders')
      const { out: disabled } = await run('workload get orders')
      expect(await applied('workload apply -f -', disabled)).toEqual([expect.stringContaining('orders unchanged')])
      await run('workload enable orders')
    })
  })

  it('apply points at the line of a fault in YAML', async () => {
    const { code, err } = await run('workload apply -f -', 'name: a\nname: b\n')
    expect(code).toBe(2)
    expect(err).toContain('line 2')
  })

  it('list shows every entry, and get an older revision', async () => {
    const { out } = await run('workload list')
    expect(out.split('\n')[0]).toMatch(/^NAME +ATTESTOR +SPIFFE ID +MATCH +STATE +REV$/)
    for (const name of ['web', 'seven', 'orders', 'stock'])
      expect(out).toMatch(new RegExp(`^${name} +lab +spiffe://`, 'm'))
    expect(await json('workload get orders --revision 1')).toMatchObject({
      grants: { x509: { maxLifetimeSeconds: 600 } },
    })
    expect((await run('workload get orders')).out).toContain('maxLifetimeSeconds: 900\n')
  })

  it('a list of several pages is read to its end', async () => {
    const api = createApi({
      env: { ...trusted(), PURSER_API_TOKEN: purser.admin },
      readFile: (path) => readFileSync(path, 'utf8'),
    })
    const names = (await api.all('/api/v1/workloads', { query: { limit: 1 } })).map(({ name }) => name)
    api.close()
    expect(names).toEqual(['orders', 'seven', 'stock', 'web'])
  })

  it('disable, enable and delete go by name', async () => {
    expect(await run('workload disable web --reason incident')).toMatchObject({ code: 0, out: log })
    expect((await run('workload list')).out).toMatch(/^web .* disabled /m)
    expect(await run('workload enable web')).toMatchObject({ code: 0, out: log })
    const stale = await run('workload delete seven --revision 9')
    expect(stale.code).toBe(3)
    expect(stale.err).toContain('read the current state, revision 1')
    expect(await run('workload delete seven')).toMatchObject({ code: 0, out: log })
    expect((await run('workload get seven')).code).toBe(3)
  })

  it('a name cannot lead to another path', async () => {
    expect((await run('workload get ../attestors')).code).toBe(3)
  })

  it('a reason is in the log, in any script', async () => {
    await cli(['workload', 'disable', 'stock', '--reason', 'größere Störung 役'], {
      env: { ...trusted(), PURSER_API_TOKEN: purser.admin },
    })
    const { text } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=workload.disable&limit=1')
    expect(text).toContain('größere Störung 役')
  })
})

describe('attestor', () => {
  it('create uses the first audience of the server, and a preset', async () => {
    const created = await json('attestor create github --preset github-actions')
    expect(created).toMatchObject({ kind: 'oidc', preset: 'github-actions', audience, spiffeIdPrefix: '/github/' })
  })

  it("create shows the server's refusal", async () => {
    const { code, err } = await run('attestor create again --preset github-actions --prefix /github/x/')
    expect(code).toBe(3)
    expect(err).toContain('/spiffeIdPrefix: ')
  })

  it.each([
    ['attestor create x', '--kind, --preset or --file'],
    ['attestor create x --kind kubernetes --api-server https://k', '--api-ca'],
  ])('%s ends with 2', async (line, words) => {
    const { code, err } = await run(line)
    expect(code).toBe(2)
    expect(err).toContain(words)
  })

  it('list, get, check, delete', async () => {
    expect((await run('attestor list')).out).toMatch(/^github +github-actions +https:\/\/token\.actions/m)
    expect((await run('attestor get lab')).out).toContain(`issuer: ${issuer.issuer}\n`)
    expect(await run('attestor check lab')).toMatchObject({ code: 0, out: expect.stringMatching(/^ok /) })
    expect((await run('attestor delete lab')).err).toContain('409 in_use')
    expect(await run('attestor delete github')).toMatchObject({ code: 0, out: log })
  })

  it('replace writes the whole definition, at a revision', async () => {
    const definition = (await run('attestor get lab')).out
    const path = file('lab.yaml', `${definition}managedBy: git:lab\n`)
    expect(await run(`attestor replace lab --file ${path} --revision 99`)).toMatchObject({ code: 3, out: '' })
    expect(await json(`attestor replace lab --file ${path} --reason keys`)).toMatchObject({ managedBy: 'git:lab' })
    const replaced = await run(`attestor replace lab --file ${file('lab.yaml', definition)}`)
    expect(replaced.out).toMatch(/^attestor lab replaced {2}revision \d+ {2}log 1\/\d+\n$/)
  })

  it('ls, rm and plurals are the same verbs', async () => {
    expect((await run('attestors ls')).out).toBe((await run('attestor list')).out)
    expect((await run('workloads ls --attestor lab')).out).toBe((await run('workload list --attestor lab')).out)
    expect((await run('secrets ls')).code).toBe(0)
  })

  it('create --file reads the whole definition', async () => {
    const definition = {
      kind: 'oidc',
      issuer: 'https://file.example',
      audience,
      keys: { jwks: { keys: [issuer.jwk] } },
    }
    const path = file('attestor.json', JSON.stringify(definition))
    expect(await json(`attestor create from-file --file ${path}`)).toMatchObject({ issuer: 'https://file.example' })
  })
})

describe('explain', () => {
  it('by facts, by proof and by the request id of a refusal', async () => {
    const facts = await run('explain --attestor lab --selector oidc:sub=nobody')
    expect(facts).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^refused +no_workload/) })

    const proof = file('web.jwt', await issuer.token({ sub: 'web' }))
    expect((await run(`explain --proof ${proof}`)).out).toMatch(/^granted +The workload entry web matches/)

    const refused = await purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: await issuer.token({ sub: 'nobody' }) },
    })
    const explained = await run(`explain ${String(refused.body.requestId)}`)
    expect(explained.out).toMatch(/^refused +no_workload/)
    expect(explained.out).toContain('oidc:sub=nobody')
  })

  it('records its reason', async () => {
    await run('explain --attestor lab --selector oidc:sub=nobody --reason incident-42')
    const { text } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=workload.explain&limit=1')
    expect(text).toContain('incident-42')
  })

  it('of an unknown request ends with 3', async () => {
    expect((await run(`explain req_${'0'.repeat(32)}`)).code).toBe(3)
  })
})

describe('join-token', () => {
  it('is alone on stdout, once', async () => {
    await run('workload create agent --attestor join')
    const { code, out, err } = await run('join-token create agent --lifetime 1h --uses 2')
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/^purser_join_[\w-]{43}\n$/) })
    expect(err).toMatch(/^tok_[0-9a-f]+: for agent, usable 2 times until /)
    expect(err).not.toContain('purser_join_')
  })

  it('is refused for another kind of entry', async () => {
    expect((await run('join-token create web')).err).toContain('/workload: ')
  })
})

describe('revoke', () => {
  it('revokes a certificate and names verifiers that still accept it; a second time revokes nothing', async () => {
    const { body } = await purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token: await issuer.token({ sub: 'orders' }) },
      x509: { generateKey: 'EC-P256' },
    })
    const { serialNumber: serial } = body.x509 as { serialNumber: string }
    const { code, out } = await run(`revoke --serial-number ${serial} --because keyCompromise --reason stolen`)
    expect(code).toBe(0)
    expect(out).toMatch(/^revoked 1 certificate {2}rev_[0-9a-f]+ {2}log 1\/\d+\n/)
    expect(out).toContain(`certificate ${serial}`)
    const all = await run('revoke --spiffe-id spiffe://example.org/lab/orders')
    expect(all.out).toMatch(/^revoked 1 session /)
    const repeat = await run('revoke --spiffe-id spiffe://example.org/lab/orders')
    expect(repeat.out).toMatch(/^revoked nothing: nothing of it was valid /)
  })

  it('names its block, which is listed and released', async () => {
    const spiffeId = 'spiffe://example.org/lab/orders'
    const { out } = await run(`revoke --spiffe-id ${spiffeId} --because keyCompromise`)
    const id = /rev_[0-9a-f]+/.exec(out)?.[0] ?? ''
    expect(out).toMatch(`the SPIFFE ID  is blocked until: purser revocation release ${id}`)
    expect((await run('revocation list')).out).toMatch(new RegExp(`^${id} +${spiffeId} +\\S+ +keyCompromise$`, 'm'))
    expect((await run(`revocation release ${id}`)).code).toBe(3)
    const released = await run(`revocation release ${id} --reason rebuilt`)
    expect([released.code, released.out]).toEqual([0, expect.stringMatching(`^released ${spiffeId}  log 1/`)])
    expect((await run(`revocation release ${id} --reason rebuilt`)).code).toBe(3)
    expect((await run('revocation list')).out).not.toContain(id)
  })

  it('of an unknown credential ends with 3', async () => {
    expect((await run(`revoke --session ses_${'0'.repeat(32)}`)).code).toBe(3)
  })
})

describe('keys', () => {
  it('list shows each kind, rotate the next key and what it replaces', async () => {
    const { out } = await run('keys list')
    for (const kind of ['root-ca', 'issuing-ca', 'jwt-es256', 'jwt-rs256', 'log', 'keyring']) {
      expect(out).toMatch(new RegExp(`^${kind} +active `, 'm'))
    }
    const rotated = await run('keys rotate ca --compromised --reason stolen')
    expect(rotated.out).toMatch(/^created +issuing-ca +active /m)
    expect(rotated.out).toMatch(/^replaced +issuing-ca +withdrawn /m)
  })

  it('csr prints a request that openssl reads; import shows the faults of a chain', async () => {
    const { code, out, err } = await run('keys csr')
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('keys import') })
    expect(openssl(['req', '-verify', '-noout'], out).ok).toBe(true)
    const pem = file('root.pem', purser.roots)
    const imported = await run(`keys import --chain ${pem} --root ${pem}`)
    expect(imported.code).toBe(3)
    expect(imported.err).toMatch(/\(4\d\d \w+\)/)
  })
})

describe('token', () => {
  it('lists ids and never values; a revoked token is refused', async () => {
    const { items } = (await json('token list')) as { items: { id: string }[] }
    expect(items).toHaveLength(1)
    expect((await run('token list')).out).toMatch(/^tok_[0-9a-f]+ +admin +admin .* live$/m)
    expect((await run('token list')).out).not.toContain('purser_api_')
    expect((await run(`token revoke tok_${'0'.repeat(32)}`)).code).toBe(3)
  })
})

describe('bootstrap', () => {
  it('is refused once its API token was used', async () => {
    const env = { ...trusted(), PURSER_DATA_DIR: purser.dataDir }
    const repeat = await cli(['bootstrap'], { env })
    expect(repeat.code).toBe(3)
    expect(repeat.err).toContain('the bootstrap token is spent, expired or replaced')
    expect(repeat.err).toContain('purser bootstrap --reissue --reason')
    expect(readFileSync(join(purser.dataDir, 'bootstrap-token'), 'utf8')).toMatch(/^purser_boot_/)
  })
})
