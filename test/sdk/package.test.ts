/** What the SDK's package is made of: no dependency, nothing of the server, every entry there. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { version } from '../../sdk/src/version.ts'

type Manifest = {
  version: string
  dependencies?: object
  peerDependencies?: object
  peerDependenciesMeta?: object
  exports: Record<string, Record<string, string>>
}
const root = new URL('../../', import.meta.url).pathname
const manifest = JSON.parse(readFileSync(join(root, 'sdk/package.json'), 'utf8')) as Manifest
const sources = readdirSync(join(root, 'sdk/src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
)

test('the version is said twice and is the same', () => {
  expect(version).toBe(manifest.version)
})

/** An entry for what its caller has already: an optional peer, imported by nothing else. */
const peers: Readonly<Record<string, string>> = { 'undici.ts': 'undici' }

test('nobody imports an entry that needs a peer', () => {
  expect(sources).toEqual(expect.arrayContaining(Object.keys(peers)))
  const importing = sources.filter((name) =>
    /from '[./]+undici\.ts'/.test(readFileSync(join(root, 'sdk/src', name), 'utf8')),
  )
  expect(importing).toEqual([])
  expect(manifest.peerDependencies).toEqual({ undici: '^7.0.0' })
  expect(manifest.peerDependenciesMeta).toEqual({ undici: { optional: true } })
})

test.each(sources)('%s imports Node and its own folder, nothing else', (name) => {
  const text = readFileSync(join(root, 'sdk/src', name), 'utf8')
  const specifiers = [...text.matchAll(/^(?:import|export)[^'"]*?from '([^']+)'/gms)].map(([, one = '']) => one)
  const foreign = specifiers.filter(
    (specifier) =>
      !(specifier.startsWith('node:') && isBuiltin(specifier)) &&
      !/^\.\.?\/[\w./-]+\.ts$/.test(specifier) &&
      specifier !== peers[name],
  )
  expect(foreign).toEqual([])
  const outside = specifiers.filter(
    (specifier) => specifier.startsWith('.') && join(dirname(name), specifier).startsWith('..'),
  )
  expect(outside).toEqual([])
})

describe('the packed files', () => {
  const dir = mkdtempSync(join(tmpdir(), 'purser-pack-'))
  let files: string[] = []

  beforeAll(() => {
    cpSync(join(root, 'sdk'), join(dir, 'sdk'), {
      recursive: true,
      filter: (path) => !/\/(?:dist|node_modules)$/.test(path),
    })
    cpSync(join(root, 'tsconfig.json'), join(dir, 'tsconfig.json'))
    symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'sdk/tsconfig.build.json'], {
      cwd: dir,
    })
    const packed = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json', '--offline'], {
        cwd: join(dir, 'sdk'),
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    ) as [{ files: { path: string }[] }]
    files = packed[0].files.map(({ path }) => path)
  }, 60_000)
  afterAll(() => rmSync(dir, { recursive: true, force: true }))

  test('hold what was built and the README, and no source', () => {
    expect(files).toContain('README.md')
    expect(files).toContain('package.json')
    expect(files.filter((path) => !/^(?:README\.md|package\.json|dist\/[\w/-]+\.(?:js|d\.ts))$/.test(path))).toEqual([])
    expect(manifest.dependencies).toBeUndefined()
  })

  test.each(Object.entries(manifest.exports))(
    'hold the entry %s with its types',
    (_, { types = '', default: code = '' }) => {
      expect(files).toContain(code.slice(2))
      expect(files).toContain(types.slice(2))
    },
  )

  test.each(Object.keys(manifest.exports))('load as %s', (name) => {
    const load = `import * as all from '@purser/sdk${name.slice(1)}'; console.log(Object.keys(all).length > 0)`
    const argv = ['--input-type=module', '-e', load]
    expect(execFileSync(process.execPath, argv, { cwd: join(dir, 'sdk'), encoding: 'utf8' })).toBe('true\n')
  })

  test.each([
    [
      'ES modules',
      'module',
      "import { connect, PurserError } from '@purser/sdk'; import { verifyReceipt } from '@purser/sdk/verify'",
    ],
    // Node loads ES modules by require since 20.19.
    [
      'CommonJS',
      'commonjs',
      "const { connect, PurserError } = require('@purser/sdk'); const { verifyReceipt } = require('@purser/sdk/verify')",
    ],
  ])('run as %s', (_, type, load) => {
    // A package may load itself by its name.
    const argv = [
      `--input-type=${type}`,
      '--no-warnings',
      '-e',
      `${load}; console.log(typeof connect, typeof PurserError, typeof verifyReceipt)`,
    ]
    const output = execFileSync(process.execPath, argv, { cwd: join(dir, 'sdk'), encoding: 'utf8' })
    expect(output).toBe('function function function\n')
  })
})
