/**
 * `purser` as a program for tests that start it as a process: bundled, because transpiling takes a second at each
 * start.
 */
import { existsSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { buildSync } from 'esbuild'
import { inject } from 'vitest'
import { parse } from 'yaml'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object }

/** Path of the bundle of `src/main.ts`. The first worker of a run that needs it builds it. */
export function builtMain(): string {
  const directory = join(inject('runDirectory'), 'main')
  if (!existsSync(directory)) build(directory)
  return join(directory, 'main.mjs')
}

function build(directory: string): void {
  const outdir = `${directory}-${process.pid}`
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
    // The sources look for openapi.yaml, openapi.json and package.json two folders above this.
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(join(directory, 'src/http/openapi.js')).href) },
  })
  for (const name of ['node_modules', 'openapi.yaml', 'package.json']) symlinkSync(join(root, name), join(outdir, name))
  writeFileSync(join(outdir, 'openapi.json'), JSON.stringify(parse(readFileSync(join(root, 'openapi.yaml'), 'utf8'))))
  try {
    renameSync(outdir, directory)
  } catch (error) {
    // Another worker was faster.
    if (!existsSync(directory)) throw error
  }
}
