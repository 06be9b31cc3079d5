/** What the SDK's package is made of: no dependency, nothing of the server. test/package packs it. */
import { readFileSync, readdirSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { version } from '../../sdk/src/version.ts'

type Manifest = {
  version: string
  dependencies?: object
  peerDependencies?: object
  peerDependenciesMeta?: object
}
const root = new URL('../../', import.meta.url).pathname
const manifest = JSON.parse(readFileSync(join(root, 'sdk/package.json'), 'utf8')) as Manifest
const sources = readdirSync(join(root, 'sdk/src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
)

test('it depends on nothing', () => {
  expect(manifest.dependencies).toBeUndefined()
})

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
  const specifiers = [...text.matchAll(/^(?:import|export)[^'"]*?from '([^']+)'/gms)].map(
    ([, specifier = '']) => specifier,
  )
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
