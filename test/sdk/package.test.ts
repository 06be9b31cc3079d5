/** The SDK's package: no dependency, nothing of the server. test/package packs it. */
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

test('it has no dependencies', () => {
  expect(manifest.dependencies).toBeUndefined()
})

test('the version is stated twice and is the same', () => {
  expect(version).toBe(manifest.version)
})

/** An entry point for callers that already have the peer: an optional peer, imported by nothing else. */
const peers: Readonly<Record<string, string>> = { 'undici.ts': 'undici' }

test('no file imports an entry point that needs a peer', () => {
  expect(sources).toEqual(expect.arrayContaining(Object.keys(peers)))
  const importing = sources.filter((name) =>
    /from '[./]+undici\.ts'/.test(readFileSync(join(root, 'sdk/src', name), 'utf8')),
  )
  expect(importing).toEqual([])
  expect(manifest.peerDependencies).toEqual({ undici: '^7.0.0' })
  expect(manifest.peerDependenciesMeta).toEqual({ undici: { optional: true } })
})

test.each(sources)('%s imports only Node and its own folder', (name) => {
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
