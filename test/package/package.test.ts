/** The packed server in an empty folder, and the packed SDK in another: the README's first example on this Node.js and on the newest, and its types. */
import { execFile, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const tools = join(root, 'test/tools/node_modules')
const run = promisify(execFile)

type Packed = { filename: string; size: number; unpackedSize: number; files: { path: string }[] }
type Manifest = {
  exports: Record<string, Record<string, string>>
  dependencies?: object
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

let dir: string
let tarball: string
let packed: Packed
let purser: TestPurser
let issuer: Issuer
let example: string

beforeAll(async () => {
  // Packing builds first, so no earlier build may remain.
  for (const folder of ['dist', 'sdk/dist']) await rm(join(root, folder), { recursive: true, force: true })
  dir = await mkdtemp(join(tmpdir(), 'purser-package-'))
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dir], { cwd: join(root, 'sdk') })
  packed = (JSON.parse(stdout) as [Packed])[0]
  tarball = join(dir, packed.filename)
  await writeFile(join(dir, 'package.json'), JSON.stringify({ name: 'somebody', private: true }))
  await run('npm', ['install', '--offline', '--no-audit', tarball], { cwd: dir })
  const readme = await readFile(join(root, 'sdk/README.md'), 'utf8')
  example = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
})
afterAll(async () => {
  await purser.stop()
  await rm(dir, { recursive: true, force: true })
})

describe('the packed server', () => {
  it('includes its SDK, and serves from an empty folder', async () => {
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', dir], { cwd: root })
    const [server] = JSON.parse(stdout) as [Packed]
    const paths = server.files.map(({ path }) => path)
    expect(paths).toEqual(
      expect.arrayContaining([
        'dist/src/main.js',
        'dist/openapi.json',
        'dist/purser.schema.json',
        'openapi.yaml',
        'pages/login.html',
        'pages/login.js',
        'node_modules/@purser/sdk/dist/index.js',
      ]),
    )
    const [json, yaml] = [await readFile(join(root, 'dist/openapi.json')), await readFile(join(root, 'openapi.yaml'))]
    expect(JSON.parse(json.toString())).toEqual(parse(yaml.toString()))
    expect(paths.filter((path) => /^(?:src|test|sdk)\//.test(path))).toEqual([])
    const home = join(dir, 'server')
    await mkdir(home)
    await writeFile(join(home, 'package.json'), JSON.stringify({ name: 'somebody', private: true }))
    const flags = ['--prefer-offline', '--no-audit', '--ignore-scripts']
    await run('npm', ['install', ...flags, join(dir, server.filename)], { cwd: home })
    const command = join(home, 'node_modules/.bin/purser')
    const env = {
      PATH: process.env.PATH,
      PURSER_TRUST_DOMAIN: 'example.org',
      PURSER_PUBLIC_URL: 'https://purser.example.org',
      PURSER_LISTEN: '127.0.0.1:0',
      PURSER_INSECURE_HTTP: 'loopback',
    }
    expect((await run(command, ['--version'], { env, cwd: home })).stdout).toMatch(/^\d+\.\d+\.\d+/)
    const serving = spawn(command, ['serve'], { env, cwd: home, stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void serving.kill('SIGKILL'))
    const listen = await new Promise<string>((resolve, reject) => {
      let out = ''
      serving.stdout.setEncoding('utf8').on('data', (text: string) => {
        out += text
        const url = /"listen":"([^"]+)"/.exec(out)?.[1]
        if (url !== undefined) resolve(url)
      })
      serving.once('exit', () => reject(new Error(out)))
    })
    expect((await fetch(`${listen}/readyz`)).status).toBe(200)
    for (const path of ['openapi.yaml', 'login', 'login.js'])
      expect((await fetch(`${listen}/${path}`)).status, path).toBe(200)
  }, 300_000)
})

const newest = join(tools, `node-${process.platform}-${process.arch}/bin/node`)
const nodes: [string, string][] = [[`Node.js ${process.versions.node}`, process.execPath]]
if (existsSync(newest)) nodes.push(['the newest Node.js', newest])
else process.stdout.write('SKIPPED the newest Node.js: run npm ci --prefix test/tools on a platform that it names\n')

const printing = `
console.log(JSON.stringify({ token: typeof token, chain: certificateChain.slice(0, 27), key: privateKey.slice(0, 27), roots: trustBundle.slice(0, 27) }))`

const forms: [string, string, (code: string) => string][] = [
  ['an ES module', 'main.mjs', (code) => code + printing],
  [
    // Node.js loads ES modules by require() since 20.19 and 22.12.
    'CommonJS',
    'main.cjs',
    (code) => {
      const [, names = '', from = ''] = /^import (\{.*\}) from '([^']+)'$/m.exec(code) ?? []
      const body = code.replace(/^import .*$/m, '')
      return `const ${names} = require('${from}')\n;(async () => {${body}${printing}\n})()`
    },
  ],
]

describe.each(nodes)('on %s', (_, node) => {
  it.each(forms)('the example of the README runs as %s', async (_, file, write) => {
    expect(example).toContain('await connect()')
    await writeFile(join(dir, file), write(example))
    await writeFile(join(dir, 'token'), await issuer.token())
    const env = {
      PATH: process.env.PATH,
      PURSER_ADDR: purser.url,
      PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
      PURSER_PROOF_FILE: join(dir, 'token'),
      PURSER_LOG_KEY: purser.vkeys.join(','),
    }
    const { stdout, stderr } = await run(node, [join(dir, file)], { env, cwd: dir })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({
      token: 'string',
      chain: '-----BEGIN CERTIFICATE-----',
      key: '-----BEGIN PRIVATE KEY-----',
      roots: '-----BEGIN CERTIFICATE-----',
    })
  })
})

const { exports: entries }: Manifest = JSON.parse(readFileSync(join(root, 'sdk/package.json'), 'utf8'))

describe('the packed files', () => {
  it('are the build and the README, and no source', () => {
    const paths = packed.files.map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining(['README.md', 'package.json']))
    expect(paths.filter((path) => !/^(?:README\.md|package\.json|dist\/[\w/-]+\.(?:js|d\.ts))$/.test(path))).toEqual([])
  })

  it.each(Object.entries(entries))('have the entry %s with its types', (_, { types = '', default: code = '' }) => {
    const paths = packed.files.map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining([code.slice(2), types.slice(2)]))
  })

  // A package may import itself by its name. Its optional peers are installed only beside its source.
  const load = (type: string, code: string) =>
    run(process.execPath, [`--input-type=${type}`, '--no-warnings', '-e', code], { cwd: join(root, 'sdk') })

  it.each(Object.keys(entries))('load as %s', async (name) => {
    const code = `import * as all from '@purser/sdk${name.slice(1)}'; console.log(Object.keys(all).length > 0)`
    expect((await load('module', code)).stdout).toBe('true\n')
  })

  it.each([
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
  ])('run as %s', async (_, type, code) => {
    const { stdout } = await load(
      type,
      `${code}; console.log(typeof connect, typeof PurserError, typeof verifyReceipt)`,
    )
    expect(stdout).toBe('function function function\n')
  })
})

describe('the packages', () => {
  it('are small, and have no dependencies', async () => {
    const manifest = JSON.parse(await readFile(join(dir, 'node_modules/@purser/sdk/package.json'), 'utf8')) as Manifest
    const { dependencies, exports, peerDependenciesMeta = {} } = manifest
    const required = Object.values(peerDependenciesMeta).filter(({ optional }) => !optional)
    process.stdout.write(
      `packed SDK: ${Math.round(packed.size / 1000)} kB, ${Math.round(packed.unpackedSize / 1000)} kB unpacked, ${packed.files.length} files, ${Object.keys(dependencies ?? {}).length} dependencies, ${Object.keys(exports).length} entries\n`,
    )
    expect(dependencies).toBeUndefined()
    expect(required).toEqual([])
    expect(packed.size).toBeLessThan(250_000)
  })

  it.each([
    [
      'nodenext',
      'main.mts',
      "import { connect, type Purser } from '@purser/sdk'\nexport const purser: Purser = await connect()\n",
    ],
    [
      'nodenext',
      'main.cts',
      "import sdk = require('@purser/sdk')\nexport const purser: Promise<sdk.Purser> = sdk.connect()\n",
    ],
    [
      'bundler',
      'main.ts',
      "import { connect, type Purser } from '@purser/sdk'\nexport const purser: Promise<Purser> = connect()\n",
    ],
  ])('have types for %s in %s', async (resolution, file, code) => {
    await writeFile(join(dir, file), code)
    const module = resolution === 'bundler' ? 'esnext' : 'nodenext'
    const argv = ['--noEmit', '--strict', '--target', 'es2023', '--module', module, '--moduleResolution', resolution]
    // As a user with Node's types: no types of this project are in reach.
    const types = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node']
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = await run(process.execPath, [tsc, ...argv, ...types, file], { cwd: dir })
    expect(stdout).toBe('')
  })

  it.each([
    // A require() of an ES module is no fault on the versions of Node.js that are supported.
    [
      'attw',
      '@arethetypeswrong/cli/dist/index.js',
      ['--profile', 'esm-only', '--no-emoji', '--no-color'],
      '@purser/sdk',
    ],
    ['publint', 'publint/src/cli.js', ['--strict'], 'All good'],
  ])('pass %s without findings', async (_, script, options, words) => {
    const path = join(tools, script)
    expect(existsSync(path), 'npm ci --prefix test/tools installs it').toBe(true)
    // It ends with 1 on a finding.
    const { stdout } = await run(process.execPath, [path, tarball, ...options], { cwd: dir })
    expect(stdout).toContain(words)
  })
})
