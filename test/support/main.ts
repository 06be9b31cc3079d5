/** `purser` as a program for tests that start it as a process: bundled, since transpiling it takes a second at each start. */
import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { inject } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }

let built: string | undefined

/** Path of the bundle of `src/main.ts`, made once in this process. */
export function builtMain(): string {
  if (built !== undefined) return built
  const outdir = join(inject('runDirectory'), `main-${process.pid}`)
  buildSync({
    entryPoints: [join(root, 'src/main.ts')],
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    conditions: ['purser-source'],
    external: Object.keys(dependencies).filter((name) => name !== '@purser/sdk'),
    // The files that the sources look for beside themselves: openapi.yaml, package.json.
    define: { 'import.meta.url': JSON.stringify(new URL('../../src/http/openapi.ts', import.meta.url).href) },
  })
  symlinkSync(join(root, 'node_modules'), join(outdir, 'node_modules'))
  return (built = join(outdir, 'main.mjs'))
}
