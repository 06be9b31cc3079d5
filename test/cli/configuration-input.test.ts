/** Files of a configuration that are refused, with file and line, before anything is sent. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { readConfiguration } from '../../src/cli/configuration/read.ts'
import { cli } from '../support/cli.ts'

const root = mkdtempSync(join(tmpdir(), 'purser-input-'))
let folder: string
let count = 0
beforeEach(() => {
  folder = join(root, `d${count++}`)
  mkdirSync(folder)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const write = (name: string, content: string | Buffer): void => writeFileSync(join(folder, name), content)
/** No server listens here: a fault is found before anything is sent. */
const env = { PURSER_ADDR: 'https://127.0.0.1:1', PURSER_API_TOKEN: 'purser_api_x' }
async function plan(...argv: string[]): Promise<{ code: number; err: string }> {
  const { code, out, err } = await cli(['plan', '-f', folder, ...argv], { env })
  expect(out).toBe('')
  return { code, err: err.replaceAll(`${folder}/`, '') }
}
const streams = (text: string) => ({ stdin: Readable.from([text]), stderr: new PassThrough() })
const refused = (err: string) => ({ code: 2, err: `purser: ${err}\n` })
const web = `kind: workload
name: web
spec:
  attestor: lab
  match: { 'oidc:sub': web }
  spiffeId: spiffe://example.org/lab/web
`

describe('YAML that is not plain data is refused with its line', () => {
  it.each([
    [
      'an anchor',
      `${web}  labels: &common { team: shop }\n`,
      'a.yaml:7: an anchor (&common) is not allowed: remove it',
    ],
    ['an alias', `${web}  labels: *common\n`, 'a.yaml:7: an alias (*common) is not allowed: repeat the value'],
    ['a merge key', `${web}  <<: { wide: true }\n`, 'a.yaml:7: a merge key (<<) is not allowed: repeat the members'],
    ['a tag', `${web}  wide: !!bool "true"\n`, 'a.yaml:7: a tag (tag:yaml.org,2002:bool) is not allowed: remove it'],
    ['a tag of its own', `${web}  labels: !secret { a: b }\n`, 'a.yaml:7: Unresolved tag: !secret'],
    ['a tagged key', `${web}  !!str wide: true\n`, 'a.yaml:7: a tag (tag:yaml.org,2002:str) is not allowed: remove it'],
    ['a directive', `%YAML 1.1\n---\n${web}`, 'a.yaml:1: a directive is not allowed: remove the line with %'],
    ['a member that is there twice', `${web}  attestor: other\n`, 'a.yaml:7: "attestor" is there twice'],
    ['a number as name', `${web}  labels: { 1: x }\n`, 'a.yaml:7: the name of a member must be text: quote it'],
    ['broken syntax', `${web}  labels: { a: b\n`, expect.stringMatching(/^purser: a\.yaml:\d: .*\n$/)],
    ['a list', '- 1\n', 'a.yaml:1: a document must be an object with kind, name and spec'],
    ['deep nesting', `a: ${'['.repeat(40)}${']'.repeat(40)}\n`, 'a.yaml:1: is nested deeper than 32 levels'],
    ['endless nesting', `a: ${'['.repeat(50_000)}\n`, 'a.yaml:1: is nested too deeply'],
  ])('%s', async (_, text, err) => {
    write('a.yaml', text)
    expect(await plan()).toEqual(typeof err === 'string' ? refused(err) : { code: 2, err })
  })

  it('aliases that multiply are refused before they expand', async () => {
    const lines = ['a0: &a0 [x, x]']
    for (let n = 1; n < 40; n++) lines.push(`a${n}: &a${n} [*a${n - 1}, *a${n - 1}]`)
    write('bomb.yaml', lines.join('\n'))
    expect((await plan()).err).toContain('bomb.yaml:1: an anchor')
  })

  it('100,000 members of one document are refused in a moment', async () => {
    write('wide.yaml', `${web}  labels:\n${Array.from({ length: 100_000 }, (_, n) => `    l${n}: x\n`).join('')}`)
    const startedAt = performance.now()
    expect((await plan()).err).toContain('wide.yaml:7: /spec/labels: ')
    expect(performance.now() - startedAt).toBeLessThan(20_000)
  })
})

describe('documents that do not match the schema are refused with the line of the member', () => {
  it.each([
    [
      'no kind',
      'name: web\nspec: {}\n',
      'a.yaml:1: /kind: is missing: give one of attestor, database, workload, rotation-policy, operator, policy-test',
    ],
    [
      'a kind in capitals',
      web.replace('workload', 'Workload'),
      'a.yaml:1: /kind: is not a kind: did you mean workload?',
    ],
    [
      'a kind that is misspelt',
      web.replace('workload', 'worklaod'),
      'a.yaml:1: /kind: is not a kind: did you mean workload?',
    ],
    [
      'another kind',
      web.replace('workload', 'pod'),
      'a.yaml:1: /kind: is not a kind: give one of attestor, database, workload, rotation-policy, operator, policy-test',
    ],
    ['a member of the server', `${web}  revision: 3\n`, expect.stringContaining('a.yaml:7: /spec/revision: ')],
    ['disabled', `${web}  disabled: true\n`, expect.stringContaining('a.yaml:7: /spec/disabled: ')],
    [
      'a wrong type',
      `${web}  grants:\n    x509:\n      maxLifetimeSeconds: 1h\n`,
      expect.stringContaining('a.yaml:9: /spec/grants/x509/maxLifetimeSeconds: '),
    ],
    ['no specification', 'kind: workload\nname: web\n', expect.stringContaining('a.yaml:1: /spec: ')],
    ['an invalid name', web.replace('name: web', 'name: Web'), expect.stringContaining('a.yaml:2: /name: ')],
    ['a name in the specification', `${web}  name: web\n`, expect.stringContaining('a.yaml:7: /spec/name: ')],
  ])('%s', async (_, text, err) => {
    write('a.yaml', text)
    const { code, err: message } = await plan()
    expect({ code, message }).toEqual({ code: 2, message: typeof err === 'string' ? `purser: ${err}\n` : err })
  })

  it('an unquoted password in a file', async () => {
    write('db.yaml', 'kind: database\nname: orders\nspec:\n  admin:\n    username: purser\n    password: hunter2\n')
    expect(await plan()).toEqual(
      refused('db.yaml:6: /spec/admin/password: a password is not for a file: give --password-file'),
    )
  })

  it('every fault at once, up to 20', async () => {
    write('a.yaml', Array.from({ length: 30 }, (_, n) => `kind: pod\nname: w${n}\nspec: {}\n`).join('---\n'))
    const { err } = await plan()
    expect(err.split('\n')).toHaveLength(22)
    expect(err).toContain('\na.yaml:5: /kind: ')
    expect(err).toMatch(/\nand 10 more\n$/)
  })

  it('a name that is defined twice, across files', async () => {
    write('a.yaml', web)
    mkdirSync(join(folder, 'sub'))
    write('sub/b.yaml', `# again\n${web}`)
    expect(await plan()).toEqual(refused('sub/b.yaml:2: workload web is defined already, at a.yaml:1'))
  })

  it('an invalid owner', async () => {
    write('a.yaml', web)
    expect((await plan('--owner', 'git shop')).err).toContain('/spec/managedBy: ')
  })
})

describe('files that are refused', () => {
  it('that are not UTF-8', async () => {
    write('a.yaml', Buffer.from([0x6b, 0x3a, 0x20, 0xff, 0xfe]))
    expect(await plan()).toEqual(refused('a.yaml: is not UTF-8: convert it'))
  })

  it('that are huge', async () => {
    write('a.yaml', '')
    truncateSync(join(folder, 'a.yaml'), 17 * 2 ** 20)
    expect(await plan()).toEqual(refused('a.yaml: is larger than 16 MiB: split it into several files'))
  })

  it('links that leave the folder, links to folders, and links to nothing; a link inside is followed', async () => {
    writeFileSync(join(root, 'outside.yaml'), web)
    symlinkSync(join(root, 'outside.yaml'), join(folder, 'a.yaml'))
    expect(await plan()).toEqual(refused('a.yaml: is a link that leaves the folder: replace it with the file'))
    rmSync(join(folder, 'a.yaml'))

    mkdirSync(join(folder, '..data'))
    write('..data/real.yaml', web)
    symlinkSync('..data/real.yaml', join(folder, 'b.yaml'))
    expect((await plan()).code).toBe(5)

    symlinkSync('.', join(folder, 'loop'))
    expect(await plan()).toEqual(refused('loop: is a link to a folder: replace it with the folder'))
    rmSync(join(folder, 'loop'))
    symlinkSync('gone.yaml', join(folder, 'gone-too.yaml'))
    expect(await plan()).toEqual(refused("gone-too.yaml: can't be read (ENOENT)"))
  })

  it('that are not regular files', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe.yaml')])
    expect(await plan()).toEqual(refused('pipe.yaml: is not a file'))
  })

  it('that do not exist', async () => {
    const { code, err } = await cli(['plan', '-f', join(folder, 'none')], { env })
    expect({ code, err: err.replace(folder, '') }).toEqual(refused("/none: can't be read (ENOENT)"))
  })

  it('that hold more documents than a plan may have', async () => {
    const documents = Array.from({ length: 11 }, (_, n) => web.replace('name: web', `name: w${n}`))
    const reading = readConfiguration(streams(documents.join('---\n')), ['-'], { maxObjects: 10 })
    await expect(reading).rejects.toMatchObject({
      message: 'there are more than 10 documents: apply the folders one by one',
    })
  })
})

it('reads no more of stdin than a file may have', async () => {
  const endless = Readable.from(
    (function* () {
      for (;;) yield '# nothing\n'.repeat(10_000)
    })(),
  )
  await expect(readConfiguration({ stdin: endless, stderr: new PassThrough() }, ['-'])).rejects.toThrow('16 MiB')
})

it('with --detailed-exitcode, an invalid command or file ends with 1: 2 means that there are changes', async () => {
  write('a.yaml', 'kind: pod\n')
  expect((await plan('--detailed-exitcode')).code).toBe(1)
  expect((await plan('--detailed-exitcode', '--nonsense')).code).toBe(1)
  expect((await plan('--nonsense')).code).toBe(2)
})

describe('the published schema', () => {
  it('is valid, stands alone, and names the fault', async () => {
    const { code, out } = await cli(['schema'])
    expect(code).toBe(0)
    expect(out).not.toContain('#/components')
    expect(out).not.toContain('x-expected')
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(JSON.parse(out) as object)
    const spec = { attestor: 'lab', match: { 'oidc:sub': 'web' }, spiffeId: 'spiffe://example.org/lab/web' }
    expect(validate({ kind: 'workload', name: 'web', spec })).toBe(true)
    expect(validate({ kind: 'workload', name: 'web', spec: { ...spec, grant: {} } })).toBe(false)
    expect(validate({ kind: 'workload', name: 'web', spec: { ...spec, name: 'web' } })).toBe(false)
    expect(validate({ kind: 'pod', name: 'web', spec })).toBe(false)
    const database = (admin: object) => ({
      kind: 'database',
      name: 'orders',
      spec: { kind: 'postgres', host: 'db', database: 'orders', admin, roles: { grants: [] } },
    })
    expect(validate(database({ username: 'purser' }))).toBe(true)
    expect(validate(database({ username: 'purser', password: 'x' }))).toBe(false)
    expect(out).toContain('"description": "a SPIFFE ID with a path')
  })

  it('accepts every example of the documentation, as the command does', async () => {
    const page = readFileSync('docs/configuration-as-code.md', 'utf8')
    const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text)
    const { objects, tests } = await readConfiguration(streams(blocks.join('---\n')), ['-'])
    expect(objects.map(({ kind }) => kind)).toEqual(['workload', 'attestor', 'database', 'rotation-policy'])
    expect(tests).toHaveLength(2)
    const { out } = await cli(['schema'])
    const schema = JSON.parse(out) as { $defs: { workload: object; Grants: { properties: object } } }
    const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(schema)
    for (const document of blocks.flatMap((text) => parseAllDocuments(text))) {
      validate(document.toJS())
      expect(validate.errors).toBeNull()
    }
    // The entry has all grants and all members that the schema knows.
    const { spec } = objects[0] ?? {}
    expect(Object.keys(spec?.grants ?? {}).toSorted()).toEqual(Object.keys(schema.$defs.Grants.properties).toSorted())
  })
})
