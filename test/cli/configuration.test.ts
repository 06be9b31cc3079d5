/** Configuration as code against a real server: plan, apply, prune, export, and what is refused. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { createApi } from '../../src/cli/api.ts'
import { applyPlan } from '../../src/cli/configuration/apply.ts'
import { openObjects } from '../../src/cli/configuration/live.ts'
import type { PlanItem } from '../../src/cli/configuration/plan.ts'
import { cli } from '../support/cli.ts'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

let purser: TestPurser
let issuer: Issuer
let root: string
let folder: string
let count = 0

const environment = () => ({
  PURSER_ADDR: purser.url,
  PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
  PURSER_API_TOKEN: purser.admin,
})
const run = (line: string, stdin?: string) =>
  cli(line.replaceAll('DIR', folder).split(' '), { env: environment(), ...(stdin !== undefined && { stdin }) })
async function succeeds(line: string, stdin?: string): Promise<string> {
  const { code, out, err } = await run(line, stdin)
  expect({ line, code, err: code === 0 ? '' : err }).toEqual({ line, code: 0, err: '' })
  return out
}
type PlanReply = { counts: Record<string, number>; items: PlanItem[] }
const json = async (line: string): Promise<PlanReply> => JSON.parse(await succeeds(`${line} -o json`)) as PlanReply

function write(path: string, ...documents: (object | string)[]): string {
  const file = join(folder, path)
  mkdirSync(join(file, '..'), { recursive: true })
  const texts = documents.map((document) => (typeof document === 'string' ? document : stringify(document)))
  writeFileSync(file, texts.join('---\n'))
  return file
}
const workload = (name: string, spec: object = {}) => ({
  kind: 'workload',
  name,
  spec: {
    attestor: 'lab',
    match: { 'oidc:sub': name },
    spiffeId: `spiffe://example.org/lab/${name}`,
    grants: { x509: { maxLifetimeSeconds: 600 } },
    ...spec,
  },
})
const lab = () => ({
  kind: 'attestor',
  name: 'lab',
  spec: { kind: 'oidc', issuer: issuer.issuer, audience, keys: { jwks: { keys: [issuer.jwk] } } },
})
const database = (name: string, spec: object = {}) => ({
  kind: 'database',
  name,
  spec: {
    kind: 'postgres',
    host: 'db.example',
    database: 'shop',
    admin: { username: 'purser_admin' },
    roles: { grants: [{ schema: 'shop', objects: 'tables', privileges: ['select'] }] },
    ...spec,
  },
})
const policy = (path: string, spec: object = {}) => ({
  kind: 'rotation-policy',
  name: path,
  spec: { rotator: { kind: 'generated', fields: { password: { length: 32, alphabet: 'hex' } } }, ...spec },
})
const namesIn = async (path: string): Promise<string[]> =>
  ((await purser.asAdmin('GET', `/api/v1/${path}?limit=200`)).body['items'] as { name?: string; path?: string }[]).map(
    ({ name, path: place }) => name ?? place ?? '',
  )
/** The changes of operators so far; the server has changes of its own. */
const writes = async (): Promise<number> =>
  (await readLog(purser)).filter(
    ({ actor, action, change }) => actor.kind === 'operator' && (change !== undefined || action.endsWith('.delete')),
  ).length

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'purser-configuration-'))
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  await purser.asAdmin('PUT', '/api/v1/secrets/prod/db', { data: { password: 'first' } }, { 'if-match': '"0"' })
})
beforeEach(() => {
  folder = join(root, String(count++))
  mkdirSync(folder)
})
afterAll(async () => {
  await purser.stop()
  rmSync(root, { recursive: true, force: true })
})

describe('a configuration of every kind', () => {
  it('is created in order, with its owner and the reason, and a second apply writes nothing', async () => {
    write('10-workloads.yaml', workload('web', { grants: { databases: ['orders'] } }))
    write('20-other.yml', lab(), policy('prod/db', { schedule: { cron: '30 3 * * 1' } }))
    write('sub/database.yaml', database('orders'))
    write('README.md', 'not YAML: [')
    write('.hidden.yaml', 'kind: nonsense')
    const password = join(root, 'password')
    writeFileSync(password, 'hunter2hunter2\n')

    const planned = await run('plan -f DIR --owner git:shop --detailed-exitcode')
    expect(planned).toMatchObject({ code: 2, err: '' })
    expect(planned.out).toBe(
      '+ attestor lab\n+ database orders (apply it with --password-file orders=<file>)\n+ workload web\n+ rotation-policy prod/db\n' +
        '4 to create, 0 to change, 0 to delete, 0 unchanged\n',
    )
    expect(await run('apply -f DIR --owner git:shop')).toMatchObject({
      code: 2,
      out: '',
      err: 'purser: the passwords of new databases are missing: give --password-file orders=<file>\n',
    })
    const applied = await succeeds(
      `apply -f DIR --owner git:shop --password-file orders=${password} --reason commit-0f3a`,
    )
    expect(applied.split('\n').map((line) => line.replace(/1\/\d+/, 'N'))).toEqual([
      '+ attestor lab created, revision 1, log N',
      '+ database orders created, revision 1, log N',
      '+ workload web created, revision 1, log N',
      '+ rotation-policy prod/db created, revision 1, log N',
      '4 created, 0 changed, 0 deleted, 0 unchanged',
      '',
    ])
    const notes = (await readLog(purser)).filter(({ actor }) => 'note' in actor && actor.note === 'commit-0f3a')
    expect(notes).toHaveLength(4)
    expect(JSON.stringify(await readLog(purser))).not.toContain('hunter2')
    for (const path of ['attestors', 'databases', 'workloads', 'rotation-policies']) {
      const { body } = await purser.asAdmin('GET', `/api/v1/${path}?managedBy=git%3Ashop`)
      expect(body['items']).toHaveLength(1)
    }

    const before = await writes()
    expect(await json('apply -f DIR --owner git:shop --prune')).toMatchObject({
      counts: { create: 0, change: 0, delete: 0, unchanged: 4 },
    })
    expect(await run('plan -f DIR --owner git:shop --prune --detailed-exitcode')).toMatchObject({ code: 0, err: '' })
    expect(await writes()).toBe(before)
  })

  it('shows the members that differ, and changes them', async () => {
    write('all.yaml', workload('web', { grants: { x509: { dnsNames: ['web.lab'] } }, labels: { 'a/b': 'c' } }))
    const { out } = await run('plan -f DIR --owner git:shop')
    expect(out.split('\n')).toEqual([
      '~ workload web',
      '    - /grants/databases: ["orders"]',
      '    + /grants/x509: {"dnsNames":["web.lab"]}',
      '    + /labels: {"a/b":"c"}',
      '0 to create, 1 to change, 0 to delete, 0 unchanged',
      '',
    ])
    await succeeds('apply -f DIR --owner git:shop')
    write(
      'all.yaml',
      workload('web', { grants: { x509: { dnsNames: ['web.lab', 'www.lab'] } }, labels: { 'a/b': 'd' } }),
    )
    const { items } = await json('plan -f DIR --owner git:shop')
    expect(items).toMatchObject([
      {
        kind: 'workload',
        name: 'web',
        action: 'change',
        revision: 2,
        changes: [
          { member: '/grants/x509/dnsNames/1', after: 'www.lab' },
          { member: '/labels/a~1b', before: 'c', after: 'd' },
        ],
      },
    ])
  })

  it('round-trips: an export is unchanged when it is planned, and matches the published schema', async () => {
    const exported = await succeeds('export')
    expect(exported).toMatch(/^# yaml-language-server: \$schema=/)
    expect(exported).not.toContain('password: hunter2')
    expect(exported).toMatch(/\nkind: workload\nname: web\nspec:\n {2}attestor: lab\n {2}match:/)
    write('all.yaml', exported)
    expect(await json('plan -f DIR')).toMatchObject({ counts: { create: 0, change: 0, delete: 0, unchanged: 4 } })
    expect(await succeeds('plan -f -', exported)).toBe('0 to create, 0 to change, 0 to delete, 4 unchanged\n')
    const { items } = await json('export --kind workload --owner git:shop')
    expect(items.map(({ kind, name }) => `${kind} ${name}`)).toEqual(['workload web'])
    expect(await run('export --kind pod')).toMatchObject({ code: 2, out: '' })
  })

  it('prunes only what its owner manages, in reverse order, and touches neither blocks nor values', async () => {
    await purser.asAdmin('POST', '/api/v1/workloads', { name: 'by-hand', ...workload('by-hand').spec })
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: 'of-another',
      ...workload('of-another', { managedBy: 'git:other' }).spec,
    })
    await purser.asAdmin('POST', '/api/v1/revocations', {
      spiffeId: 'spiffe://example.org/lab/web',
      reason: 'keyCompromise',
    })
    const blocks = (await purser.asAdmin('GET', '/api/v1/revocations')).body['items']
    write('empty.yaml', '# nothing\n')

    expect(await run('plan -f DIR --prune')).toMatchObject({ code: 2, err: expect.stringContaining('--owner') })
    expect(await run('plan -f DIR --owner git:shop --prune')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--allow-empty'),
    })
    const result = await run('apply -f DIR --owner git:shop')
    expect(result).toMatchObject({
      code: 0,
      err: 'git:shop manages 4 more that no file declares: --prune deletes them\n',
      out: '0 created, 0 changed, 0 deleted, 0 unchanged\n',
    })

    // The attestor stays while an entry of another owner uses it: the refusal names it, and the completed steps are listed.
    const partly = await run('apply -f DIR --owner git:shop --prune --allow-empty')
    expect(partly.code).toBe(3)
    expect(partly.err).toContain('attestor lab (delete): ')
    expect(partly.err).toContain('409 in_use')
    expect(partly.out.split('\n').map((line) => line.replace(/1\/\d+/, 'N'))).toEqual([
      '- rotation-policy prod/db deleted, log N',
      '- workload web deleted, log N',
      '- database orders deleted, log N',
      '0 created, 0 changed, 3 deleted, 0 unchanged',
      '',
    ])
    expect(await namesIn('workloads')).toEqual(['by-hand', 'of-another'])
    expect((await purser.asAdmin('GET', '/api/v1/revocations')).body['items']).toEqual(blocks)
    const { body } = await purser.asAdmin('GET', '/api/v1/secrets/prod/db:metadata')
    expect(body['version']).toBe(1)
  })
})

it('a policy of a secret that does not exist is refused before anything is written', async () => {
  write('a.yaml', workload('before-it'), policy('prod/none'))
  expect(await run('apply -f DIR')).toMatchObject({
    code: 2,
    out: '',
    err: 'purser: there is no secret prod/none: write it first, with purser secret put prod/none\n',
  })
})

describe('objects of other managers', () => {
  it('are taken over only with --adopt', async () => {
    write('a.yaml', workload('of-another'))
    for (const owner of ['', ' --owner git:shop']) {
      expect(await run(`plan -f DIR${owner}`)).toMatchObject({
        code: 2,
        err: expect.stringContaining('workload of-another is managed by "git:other"'),
      })
    }
    expect((await json('plan -f DIR --owner git:shop --adopt')).items).toMatchObject([
      { changes: [{ member: '/managedBy', before: 'git:other', after: 'git:shop' }] },
    ])
  })

  it("without a manager become the owner's, which the plan shows", async () => {
    write('a.yaml', workload('by-hand'))
    expect((await json('plan -f DIR --owner git:shop')).items).toMatchObject([
      { changes: [{ member: '/managedBy', after: 'git:shop' }] },
    ])
  })

  it('a file that names another manager than --owner is refused', async () => {
    write('a.yaml', workload('x', { managedBy: 'git:other' }))
    expect(await run('plan -f DIR --owner git:shop')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/a\.yaml:\d+: \/spec\/managedBy: is "git:other", but --owner is git:shop\n$/),
    })
  })
})

describe('a plan file', () => {
  const planned = async (): Promise<string> => {
    const file = join(folder, 'plan.json')
    await succeeds(`plan -f DIR --owner git:plan --out ${file}`)
    return file
  }

  it('is carried out as reviewed, even if the files have changed', async () => {
    write('a.yaml', workload('one'), workload('two'))
    const file = await planned()
    write('a.yaml', workload('one', { labels: { edited: 'yes' } }))
    expect(await succeeds(`apply ${file} --reason reviewed`)).toContain('2 created, 0 changed')
    const { body } = await purser.asAdmin('GET', '/api/v1/workloads/one')
    expect(body).toMatchObject({ managedBy: 'git:plan' })
    expect(body).not.toHaveProperty('labels')
    const repeat = await run(`apply ${file}`)
    expect(repeat).toMatchObject({ code: 3, err: expect.stringContaining('out of date, and nothing was done') })
  })

  it.each([
    ['an object that changes', 'one'],
    ['an object that stays', 'two'],
  ])('is refused as a whole once the revision of %s moved', async (_, name) => {
    write('a.yaml', workload('one', { labels: { next: String(count) } }), workload('two'))
    const file = await planned()
    await purser.asAdmin('POST', `/api/v1/workloads/${name}:disable`, {})
    const before = await writes()
    const { code, err, out } = await run(`apply ${file}`)
    expect({ code, out }).toEqual({ code: 3, out: '' })
    expect(err).toMatch(new RegExp(`workload ${name} has revision \\d+, the plan was made for \\d+\n$`))
    expect(await writes()).toBe(before)
    await purser.asAdmin('POST', `/api/v1/workloads/${name}:enable`, {})
  })

  it('is refused once an object was deleted and created again', async () => {
    write('a.yaml', workload('again'))
    await succeeds('apply -f DIR --owner git:plan')
    write('a.yaml', workload('again', { labels: { a: 'b' } }))
    const file = await planned()
    await purser.asAdmin('DELETE', '/api/v1/workloads/again', undefined, { 'if-match': '"1"' })
    await purser.asAdmin('POST', '/api/v1/workloads', { name: 'again', ...workload('again').spec })
    expect(await run(`apply ${file}`)).toMatchObject({ code: 3, err: expect.stringContaining('workload again') })
  })

  it('names the revision at each write: a change after the comparison is not overwritten', async () => {
    const api = createApi({ env: environment(), readFile: (path) => readFileSync(path, 'utf8') })
    const live = await purser.asAdmin('GET', '/api/v1/workloads/one')
    const revision = Number(live.body['revision']) - 1
    const items: PlanItem[] = [
      { kind: 'workload', name: 'one', action: 'change', revision, spec: workload('one').spec, changes: [] },
    ]
    const options = { reason: undefined, passwords: new Map<string, string>(), onApplied: () => undefined }
    await expect(applyPlan(openObjects(api), items, options)).rejects.toMatchObject({ code: 'stale', exitCode: 3 })
    const remove: PlanItem[] = [{ kind: 'workload', name: 'one', action: 'delete', revision }]
    await expect(applyPlan(openObjects(api), remove, options)).rejects.toMatchObject({ code: 'stale', exitCode: 3 })
    api.close()
  })

  it.each([
    ['text', 'nonsense', 'is not JSON'],
    ['another format', '{"format":"purser-plan/9","items":[]}', 'is not a plan of this version'],
    ['an unknown kind', '{"format":"purser-plan/1","items":[{"kind":"pod"}]}', 'was edited or is damaged'],
    [
      'another deployment',
      '{"format":"purser-plan/1","server":{"trustDomain":"other","issuer":"https://x"},"items":[]}',
      'is a plan for another Purser',
    ],
  ])('that is %s is refused', async (_, text, words) => {
    const file = join(folder, 'plan.json')
    writeFileSync(file, text)
    expect(await run(`apply ${file}`)).toMatchObject({ code: 2, err: expect.stringContaining(words) })
  })

  it('that was edited is checked against the schema', async () => {
    write('a.yaml', workload('edited'))
    const file = await planned()
    writeFileSync(file, readFileSync(file, 'utf8').replace('"attestor"', '"attester"'))
    expect(await run(`apply ${file}`)).toMatchObject({ code: 2, err: expect.stringContaining('/spec/attest') })
  })

  it('is not combined with files', async () => {
    expect(await run('apply plan.json -f DIR')).toMatchObject({ code: 2, out: '' })
    expect(await run('apply')).toMatchObject({ code: 2, out: '' })
  })
})

describe('500 entries', () => {
  it('are planned and applied, a second apply changes nothing, and a changed one is all that the next apply writes', async () => {
    for (let file = 0; file < 5; file++) {
      write(`part-${file}.yaml`, ...Array.from({ length: 100 }, (_, n) => workload(`many-${file * 100 + n}`)))
    }
    const counts = async (line: string) => (await json(`${line} -f DIR --owner git:many --prune`)).counts
    expect(await counts('plan')).toEqual({ create: 500, change: 0, delete: 0, unchanged: 0 })
    expect(await counts('apply')).toEqual({ create: 500, change: 0, delete: 0, unchanged: 0 })
    const before = await writes()
    expect(await counts('apply')).toEqual({ create: 0, change: 0, delete: 0, unchanged: 500 })
    expect(await run('plan -f DIR --owner git:many --prune --detailed-exitcode')).toMatchObject({ code: 0 })
    expect(await writes()).toBe(before)

    write('part-4.yaml', ...Array.from({ length: 99 }, (_, n) => workload(`many-${400 + n}`)))
    const { revision } = (await purser.asAdmin('GET', '/api/v1/workloads/many-7')).body
    const changed = { name: 'many-7', ...workload('many-7', { managedBy: 'git:many', wide: true }).spec }
    await purser.asAdmin('PUT', '/api/v1/workloads/many-7', changed, { 'if-match': `"${String(revision)}"` })
    expect(await counts('apply')).toEqual({ create: 0, change: 1, delete: 1, unchanged: 498 })
    expect(await writes()).toBe(before + 3)
  })
})
