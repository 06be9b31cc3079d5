/** The rules of how the code is cut: who may import whom, where the outside world is known, how large a file grows. */
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type SourceFile, readSources, root } from './support/source-files.ts'

const src = readSources('src')
const sdk = readSources('sdk/src')
const written = [...src, ...sdk]
const all = [...written, ...readSources('test'), ...readSources('bench'), ...readSources('migrations')]

/**
 * From the lowest up: a file may import its own folder and any lower tier, never a sibling.
 */
const tiers = [
  ['errors.ts', 'json', 'names'],
  ['outbound', 'telemetry'],
  ['store'],
  ['keys'],
  ['audit'],
  ['attest', 'authorize', 'issue', 'operators', 'secrets'],
  ['actions'],
  ['http', 'jobs', 'config', 'version.ts'],
  ['start'],
  ['cli'],
  ['main.ts'],
]
const folders = tiers.flat().filter((part) => !part.endsWith('.ts'))

/** The part of the list above that a file of src/ belongs to. */
function partOf(path: string): string {
  const [first = ''] = path.slice('src/'.length).split('/')
  return first === 'config.ts' ? 'config' : first
}

const heightOf = (path: string): number => tiers.findIndex((tier) => tier.includes(partOf(path)))

const violations = (files: SourceFile[], refused: (file: SourceFile, imported: string) => boolean): string[] =>
  files.flatMap((file) => file.imports.filter((one) => refused(file, one)).map((one) => `${file.path} imports ${one}`))

/** The package of an import, subpaths aside. */
const packageOf = (imported: string): string =>
  imported
    .split('/')
    .slice(0, imported.startsWith('@') ? 2 : 1)
    .join('/')

const inside = (file: SourceFile, ...places: string[]): boolean => places.some((place) => file.path.startsWith(place))

describe('imports', () => {
  it('knows the tier of every folder', () => {
    const unknown = src.map((file) => partOf(file.path)).filter((part) => !tiers.flat().includes(part))
    expect(unknown).toEqual([])
    const empty = folders.filter((folder) => !src.some((file) => partOf(file.path) === folder))
    expect(empty).toEqual([])
  })

  it('go down the tiers, and never to a sibling', () => {
    const refused = (file: SourceFile, imported: string): boolean =>
      imported.startsWith('src/') && partOf(imported) !== partOf(file.path) && heightOf(imported) >= heightOf(file.path)
    expect(violations(src, refused)).toEqual([])
  })

  it('leave src/ only for the list of migrations, and the SDK never leaves its package', () => {
    const outside = (file: SourceFile, imported: string): boolean =>
      /^(migrations|sdk|test|bench)\//.test(imported) &&
      !(file.path === 'src/store/migrate.ts' && imported === 'migrations/index.ts')
    expect(violations(src, outside)).toEqual([])
    expect(violations(sdk, (_, imported) => /^(src|migrations|test|bench)\//.test(imported))).toEqual([])
  })

  it('of verification are Node alone: no dependency stands between an auditor and the proof', () => {
    const verify = sdk.filter((file) => inside(file, 'sdk/src/verify/'))
    expect(verify.length).toBeGreaterThan(10)
    expect(violations(verify, (_, imported) => !/^(node:|sdk\/src\/verify\/)/.test(imported))).toEqual([])
  })

  it.each([
    ['express', ['src/start/app.ts', 'src/http/']],
    ['knex', ['src/store/']],
    // The demo's service has a pool, as any service of somebody else's.
    ['pg', ['src/store/', 'src/secrets/databases/', 'src/cli/demo/']],
    ['@electric-sql/pglite', ['src/store/']],
    ['node-forge', ['src/keys/', 'src/issue/']],
    ['jose', ['src/keys/', 'src/issue/', 'src/attest/']],
    ['pino', ['src/telemetry/']],
    ['prom-client', ['src/telemetry/']],
    ['commander', ['src/cli/']],
  ])('of %s are in %j alone', (name, places) => {
    expect(src.some((file) => file.imports.some((one) => packageOf(one) === name))).toBe(true)
    expect(violations(src, (file, imported) => packageOf(imported) === name && !inside(file, ...places))).toEqual([])
  })
})

describe('files', () => {
  it('read the process in main.ts alone; the lock of the embedded store asks whether its holder lives', () => {
    const readers = src.filter((file) => file.usesProcess || file.imports.includes('node:process'))
    expect(readers.map((file) => file.path)).toEqual(['src/main.ts', 'src/store/lock.ts'])
    const uses = readers[1]?.text.match(/\bprocess\.\w+/g)
    expect(new Set(uses)).toEqual(new Set(['process.kill', 'process.pid']))
  })

  it('hold SQL in store/ alone: elsewhere a transaction is only handed on', () => {
    const sql = /\b(?:tx|knex)(?:<[^>]*>)?\(\s*['`]|\.raw(?:<[^>]*>)?\(|\.from\(\s*['`]\w+_\w+['`]\)/
    expect(src.filter((file) => !inside(file, 'src/store/') && sql.test(file.text)).map((file) => file.path)).toEqual(
      [],
    )
    expect(src.filter((file) => inside(file, 'src/store/') && sql.test(file.text)).length).toBeGreaterThan(5)
  })

  it('export by name, and type everything', () => {
    expect(written.filter((file) => file.hasDefaultExport).map((file) => file.path)).toEqual([])
    expect(all.filter((file) => file.hasAny).map((file) => file.path)).toEqual([])
  })

  it('silence no check and skip no test', () => {
    const silenced = /(?:oxlint|eslint|biome)-(?:disable|ignore)|@ts-(?:ignore|nocheck|expect-error)/
    const skipped = /\b(?:it|test|describe)\.(?:skip|todo|only|fails)\b/
    expect(all.filter(({ text }) => silenced.test(text) || skipped.test(text)).map((file) => file.path)).toEqual([])
  })

  it('check the whole tag of every GCM decryption (Node takes 4 bytes of it unless told)', () => {
    const users = written.filter((file) => file.text.includes('createDecipheriv('))
    expect(users.length).toBeGreaterThan(0)
    expect(users.filter((file) => file.looseDeciphers > 0).map((file) => file.path)).toEqual([])
  })

  it('are small: half of them under 90 lines, nine in ten under 250, none above 300', () => {
    const lines = written.map((file) => file.lines).toSorted((a, b) => a - b)
    expect(lines[Math.floor(lines.length / 2)]).toBeLessThanOrEqual(90)
    expect(lines[Math.floor(lines.length * 0.9)]).toBeLessThanOrEqual(250)
    expect(written.filter((file) => file.lines > 300).map((file) => `${file.path}: ${file.lines}`)).toEqual([])
  })
})

/** Versions below which a known vulnerability returns. */
describe('dependencies', () => {
  const lock: { packages: Record<string, { version?: string }> } = JSON.parse(
    readFileSync(posix.join(root, 'package-lock.json'), 'utf8'),
  )
  const versions = (name: string): string[] =>
    Object.entries(lock.packages)
      .filter(([path]) => path.endsWith(`node_modules/${name}`))
      .map(([, { version = '' }]) => version)

  const atLeast = (version: string, floor: string): boolean => {
    const numbers = (text: string): number[] => text.split('-')[0]?.split('.').map(Number) ?? []
    const wanted = numbers(floor)
    for (const [n, found] of numbers(version).entries()) {
      const min = wanted[n] ?? 0
      if (found !== min) return found > min
    }
    return true
  }

  it.each([
    ['node-forge', '1.4.3'],
    ['jose', '6.2.10'],
    ['knex', '3.2.10'],
  ])('%s is at least %s wherever it is installed', (name, floor) => {
    const found = versions(name)
    expect(found.length).toBeGreaterThan(0)
    expect(found.filter((version) => !atLeast(version, floor))).toEqual([])
  })

  it('hold no argon2 before there are passwords', () => {
    expect(Object.keys(lock.packages).filter((path) => /node_modules\/(@node-rs\/)?argon2/.test(path))).toEqual([])
  })
})
