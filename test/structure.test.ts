/**
 * The rules of the structure: which folders import which, where the outside world is accessed, and how large a file
 * may be.
 */
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type SourceFile, readSources, root } from './support/source-files.ts'

const src = readSources('src')
const sdk = readSources('sdk/src')
const ownFiles = [...src, ...sdk]
const all = [...ownFiles, ...readSources('test'), ...readSources('bench'), ...readSources('migrations')]

/** From the lowest tier up: a file may import its own folder and any lower tier, never a sibling. */
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

/** The same for the SDK. */
const sdkTiers = [
  ['verify', 'error-codes.ts', 'version.ts'],
  ['errors.ts'],
  ['types'],
  ['types.ts'],
  ['json', 'time', 'certificates', 'events'],
  ['connection'],
  ['state', 'proof'],
  ['log', 'bundle', 'revocation'],
  ['credentials'],
  ['renewal'],
  ['identity'],
  ['jwt', 'tls', 'secrets', 'databases'],
  ['purser.ts'],
  ['connect.ts'],
  ['index.ts', 'express', 'undici.ts', 'checks.ts', 'testing'],
]

/** The part of a list above that a file of src/ or sdk/src/ belongs to. */
function partOf(path: string): string {
  const [first = ''] = path.replace(/^(?:sdk\/)?src\//, '').split('/')
  return first === 'config.ts' ? 'config' : first
}

/** Imports that do not go down the tiers of a package. */
function climbing(files: SourceFile[], folder: string, list: readonly string[][]): string[] {
  const heightOf = (path: string): number => list.findIndex((tier) => tier.includes(partOf(path)))
  return violations(
    files,
    (file, imported) =>
      imported.startsWith(folder) &&
      partOf(imported) !== partOf(file.path) &&
      heightOf(imported) >= heightOf(file.path),
  )
}

/** Cycles of imports, types included: each as the files that import each other, in the order of the imports. */
function cyclesOf(files: SourceFile[]): string[][] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const finished = new Set<string>()
  const cycles: string[][] = []
  function visit(path: string, trail: readonly string[]): void {
    if (trail.includes(path)) cycles.push(trail.slice(trail.indexOf(path)))
    else if (!finished.has(path)) {
      for (const imported of byPath.get(path)?.imports ?? []) visit(imported, [...trail, path])
      finished.add(path)
    }
  }
  for (const { path } of files) visit(path, [])
  return cycles
}

const violations = (files: SourceFile[], refused: (file: SourceFile, imported: string) => boolean): string[] =>
  files.flatMap((file) =>
    file.imports
      .filter((specifier) => refused(file, specifier))
      .map((specifier) => `${file.path} imports ${specifier}`),
  )

/** The package of an import, subpaths aside. */
const packageOf = (imported: string): string =>
  imported
    .split('/')
    .slice(0, imported.startsWith('@') ? 2 : 1)
    .join('/')

const inside = (file: SourceFile, ...places: string[]): boolean => places.some((place) => file.path.startsWith(place))

describe('imports', () => {
  it('knows the tier of every folder', () => {
    for (const [files, list] of [
      [src, tiers],
      [sdk, sdkTiers],
    ] as const) {
      const parts = new Set(files.map((file) => partOf(file.path)))
      expect([...parts].filter((part) => !list.flat().includes(part))).toEqual([])
      expect(list.flat().filter((part) => !parts.has(part) && !part.endsWith('.ts'))).toEqual([])
    }
  })

  it('go down the tiers, and never to a sibling', () => {
    expect(climbing(src, 'src/', tiers)).toEqual([])
    expect(climbing(sdk, 'sdk/src/', sdkTiers)).toEqual([])
  })

  it('form no cycle', () => {
    expect(cyclesOf(src)).toEqual([])
    expect(cyclesOf(sdk)).toEqual([])
  })

  it('of store/ are types only in http/: a query belongs in an action', () => {
    const queries = src
      .filter((file) => inside(file, 'src/http/'))
      .flatMap(({ path, valueImports }) =>
        valueImports
          .filter((imported) => imported.startsWith('src/store/'))
          .map((imported) => `${path} imports ${imported}`),
      )
    expect(queries).toEqual([])
  })

  it('of actions/ contain no wire format: neither Express, nor Node’s HTTP, nor types of openapi.yaml', () => {
    const actions = src.filter((file) => inside(file, 'src/actions/'))
    expect(actions.length).toBeGreaterThan(50)
    expect(
      violations(actions, (_, imported) => /^(express|node:https?|src\/(http|start|cli)\/)/.test(imported)),
    ).toEqual([])
    expect(actions.filter(({ text }) => /\b(IncomingMessage|ServerResponse|Express|bodyOf)\b/.test(text))).toEqual([])
  })

  it('leave src/ only for the list of migrations, and the SDK never leaves its package', () => {
    const outside = (file: SourceFile, imported: string): boolean =>
      /^(migrations|sdk|test|bench)\//.test(imported) &&
      !(file.path === 'src/store/migrate.ts' && imported === 'migrations/index.ts')
    expect(violations(src, outside)).toEqual([])
    expect(violations(sdk, (_, imported) => /^(src|migrations|test|bench)\//.test(imported))).toEqual([])
  })

  it('of verification are Node only: no dependency stands between an auditor and the proof', () => {
    const verify = sdk.filter((file) => inside(file, 'sdk/src/verify/'))
    expect(verify.length).toBeGreaterThan(10)
    expect(violations(verify, (_, imported) => !/^(node:|sdk\/src\/verify\/)/.test(imported))).toEqual([])
  })

  it.each([
    ['express', ['src/start/app.ts', 'src/http/']],
    ['knex', ['src/store/']],
    // The demo's service has a pool, like any service outside Purser.
    ['pg', ['src/store/', 'src/secrets/databases/', 'src/cli/demo/']],
    ['@electric-sql/pglite', ['src/store/']],
    ['node-forge', ['src/keys/', 'src/issue/']],
    ['jose', ['src/keys/', 'src/issue/', 'src/attest/']],
    ['argon2', ['src/operators/']],
    ['otpauth', ['src/operators/']],
    ['@simplewebauthn/server', ['src/operators/']],
    ['pino', ['src/telemetry/']],
    ['prom-client', ['src/telemetry/']],
    ['commander', ['src/cli/']],
    ['openid-client', ['src/cli/oidc/']],
    ['qr', ['src/cli/']],
  ])('of %s are in %j only', (name, places) => {
    expect(src.some((file) => file.imports.some((specifier) => packageOf(specifier) === name))).toBe(true)
    expect(violations(src, (file, imported) => packageOf(imported) === name && !inside(file, ...places))).toEqual([])
  })
})

describe('files', () => {
  it('read the process only in main.ts; the lock of the embedded store checks whether its holder lives', () => {
    const readers = src.filter((file) => file.usesProcess || file.imports.includes('node:process'))
    expect(readers.map((file) => file.path)).toEqual(['src/main.ts', 'src/store/lock.ts'])
    const uses = readers[1]?.text.match(/\bprocess\.\w+/g)
    expect(new Set(uses)).toEqual(new Set(['process.kill', 'process.pid']))
  })

  it('contain SQL only in store/: elsewhere a transaction is only passed on', () => {
    const sql = /\b(?:tx|knex)(?:<[^>]*>)?\(\s*['`]|\.raw(?:<[^>]*>)?\(|\.from\(\s*['`]\w+_\w+['`]\)/
    expect(src.filter((file) => !inside(file, 'src/store/') && sql.test(file.text)).map((file) => file.path)).toEqual(
      [],
    )
    expect(src.filter((file) => inside(file, 'src/store/') && sql.test(file.text)).length).toBeGreaterThan(5)
  })

  it('export by name, and type everything', () => {
    expect(ownFiles.filter((file) => file.hasDefaultExport).map((file) => file.path)).toEqual([])
    expect(all.filter((file) => file.hasAny).map((file) => file.path)).toEqual([])
  })

  it('disable no check and skip no test', () => {
    const silenced = /(?:oxlint|eslint|biome)-(?:disable|ignore)|@ts-(?:ignore|nocheck|expect-error)/
    const skipped = /\b(?:it|test|describe)\.(?:skip|todo|only|fails)\b/
    expect(all.filter(({ text }) => silenced.test(text) || skipped.test(text)).map((file) => file.path)).toEqual([])
  })

  it('check the whole tag of every GCM decryption (Node accepts 4 bytes of it by default)', () => {
    const users = ownFiles.filter((file) => file.text.includes('createDecipheriv('))
    expect(users.length).toBeGreaterThan(0)
    expect(users.filter((file) => file.looseDeciphers > 0).map((file) => file.path)).toEqual([])
  })

  it('are small: half of them under 90 lines, nine in ten under 250, none above 300', () => {
    const lines = ownFiles.map((file) => file.lines).toSorted((a, b) => a - b)
    expect(lines[Math.floor(lines.length / 2)]).toBeLessThanOrEqual(90)
    expect(lines[Math.floor(lines.length * 0.9)]).toBeLessThanOrEqual(250)
    expect(ownFiles.filter((file) => file.lines > 300).map((file) => `${file.path}: ${file.lines}`)).toEqual([])
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
    const minimum = numbers(floor)
    for (const [n, part] of numbers(version).entries()) {
      const min = minimum[n] ?? 0
      if (part !== min) return part > min
    }
    return true
  }

  it.each([
    ['node-forge', '1.4.3'],
    ['jose', '6.2.10'],
    ['knex', '3.2.10'],
  ])('%s is at least %s wherever it is installed', (name, floor) => {
    const used = versions(name)
    expect(used.length).toBeGreaterThan(0)
    expect(used.filter((version) => !atLeast(version, floor))).toEqual([])
  })

  // 0.45 ends the process on Node 20 where install scripts are blocked: its prebuild needs a newer Node-API.
  it('hold argon2 0.44.0', () => {
    expect(versions('argon2')).toEqual(['0.44.0'])
  })
})
