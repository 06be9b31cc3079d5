/**
 * `@purser/sdk` for programs that tests start. It is built once in this process, because transpiling costs each
 * program a second.
 */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { buildSync } from 'esbuild'
import { inject } from 'vitest'

type Manifest = { exports: Record<string, { 'purser-source': string }> }

const sdk = fileURLToPath(new URL('../../sdk', import.meta.url))

let register: string | undefined

/** URL of a module that resolves `@purser/sdk` to the build. */
export function sdkImport(): string {
  if (register !== undefined) return register
  const outdir = join(inject('runDirectory'), `sdk-${process.pid}`)
  const { exports }: Manifest = JSON.parse(readFileSync(join(sdk, 'package.json'), 'utf8'))
  const entries = Object.entries(exports).map(([path, { 'purser-source': source }]) => ({
    specifier: `@purser/sdk${path.slice(1)}`,
    name: path === '.' ? 'index' : path.slice(2),
    source: join(sdk, source),
  }))
  buildSync({
    entryPoints: Object.fromEntries(entries.map(({ name, source }) => [name, source])),
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
  })
  // Resolves the packages that it imports.
  symlinkSync(join(sdk, '../node_modules'), join(outdir, 'node_modules'))
  const files = entries.map(({ specifier, name }) => [specifier, pathToFileURL(join(outdir, `${name}.mjs`)).href])
  writeFileSync(
    join(outdir, 'hooks.mjs'),
    `const files = ${JSON.stringify(Object.fromEntries(files))}
export const resolve = (specifier, context, next) =>
  files[specifier] ? { url: files[specifier], shortCircuit: true } : next(specifier, context)
`,
  )
  const path = join(outdir, 'register.mjs')
  writeFileSync(path, `import { register } from 'node:module'\nregister('./hooks.mjs', import.meta.url)\n`)
  return (register = pathToFileURL(path).href)
}

/** Runs a program of the SDK with `node`. */
export const sdkProgram = (code: string): string[] => ['--import', sdkImport(), '--input-type=module', '-e', code]
