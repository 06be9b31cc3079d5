/** The checks of a command line before any request: help, wrong words, wrong settings. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { Readable, Writable } from 'node:stream'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { exitCodes } from '../../src/cli/io.ts'
import { createProgram } from '../../src/cli/program.ts'
import { verbs as modules } from '../../src/cli/verbs.ts'
import { cli } from '../support/cli.ts'

const io = {
  argv: [],
  env: {},
  stdin: Readable.from([]),
  stdout: new Writable(),
  stderr: new Writable(),
  readFile: () => '',
  pid: 1,
  signalGroup: () => undefined,
  onSignal: () => undefined,
}
const program = await createProgram(io)

function* verbsOf(command: Command, path: string[] = []): Generator<string[]> {
  for (const subcommand of command.commands) {
    if (subcommand.commands.length === 0) yield [...path, subcommand.name()]
    else yield* verbsOf(subcommand, [...path, subcommand.name()])
  }
}
const verbs = [...verbsOf(program)]

describe('--help', () => {
  it('lists the verbs', () => {
    expect(verbs.length).toBeGreaterThan(20)
  })

  const names = Object.values(modules).flatMap((group) => Object.keys(group))
  it.each(names.filter((name) => name !== 'completion'))('of %s loads that verb only', async (name) => {
    const { commands } = await createProgram({ ...io, argv: [name, '--help'] })
    expect(commands.map((command) => command.name())).toEqual([name])
  })

  it.each(verbs.map((verb) => [verb.join(' '), verb]))('of %s has examples, on stdout', async (name, verb) => {
    const { code, out, err } = await cli([...verb, '--help'])
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(new RegExp(`^Usage: purser ${name}`))
    expect(out).toContain('\nExamples:\n  $ ')
    expect(out).toMatch(/purser/)
  })

  it('of the whole lists the exit codes', async () => {
    const { code, out } = await cli(['--help'])
    expect(code).toBe(0)
    expect(out).toMatch(/Exit codes: 0 success, 1 failure, 2 .* 3 .*\n.* 4 .* 5 /)
  })
})

describe('an invalid command line ends with 2, on stderr, and stdout stays empty', () => {
  it.each([
    [['workloda', 'list'], "unknown command 'workloda'\n(Did you mean workload?)"],
    [['workload', 'lits'], '(Did you mean list?)'],
    [['workload', 'list', '--attestr', 'x'], '(Did you mean --attestor?)'],
    [['workload', 'list', '-o', 'xml'], 'Allowed choices are table, json, yaml'],
    [['workload', 'get'], "missing required argument 'name'"],
    [['workload', 'create', 'web', '--match', 'ns'], 'key=value'],
    [['workload', 'create', 'web', '--jwt-lifetime', 'soon'], '15m'],
    [['workload', 'create', 'web', '--file', 'x', '--attestor', 'y'], 'leave the other options out'],
    [['workload', 'apply'], '--file'],
    [['join-token', 'create', 'web', '--uses', '0'], 'whole number, 1 or more'],
    [['keys', 'rotate', 'everything'], 'Allowed choices are ca, jwt, keyring, log'],
    [['dev', '--port', '99999'], 'a port'],
    [['dev', 'more'], 'too many arguments'],
    [['revoke'], 'give exactly one option'],
    [['revoke', '--jti', 'a', '--session', 'b'], 'give exactly one option'],
    [['explain'], 'give one of'],
    [['explain', 'req_1', '--proof', 'x'], 'give one of'],
    [['explain', '--attestor', 'x'], 'give one of'],
    [['attestor', 'create', 'x', '--file', '/nonexistent'], "can't read /nonexistent (ENOENT)"],
    [['bootstrap', '--token-file', '/nonexistent'], "can't read /nonexistent (ENOENT)"],
    [['serve'], 'PURSER_TRUST_DOMAIN: is required'],
    [['migrate'], 'PURSER_MIGRATE_DATABASE_URL'],
  ])('purser %j', async (argv, words) => {
    const env = argv[0] === 'migrate' ? { PURSER_MIGRATE_DATABASE_URL: 'postgres://owner@127.0.0.1:1/x' } : {}
    const { code, out, err } = await cli(argv, { env })
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(words)
  })
})

describe('settings of a client', () => {
  const listWorkloads = (env: Record<string, string>) => cli(['workload', 'list'], { env })

  it.each([
    ['no token', {}, 'set PURSER_API_TOKEN'],
    ['a token of two lines', { PURSER_API_TOKEN: 'a\nb' }, 'PURSER_API_TOKEN is not one token'],
    ['a token twice', { PURSER_API_TOKEN: 'a', PURSER_API_TOKEN_FILE: '/x' }, 'not both'],
    ['a token file that is missing', { PURSER_API_TOKEN_FILE: '/nonexistent' }, "can't read /nonexistent"],
    ['plain HTTP', { PURSER_API_TOKEN: 'x', PURSER_ADDR: 'http://127.0.0.1:8443' }, 'plain http'],
    ['a path', { PURSER_API_TOKEN: 'x', PURSER_ADDR: 'https://127.0.0.1:8443/purser' }, 'path'],
    ['two kinds of trust', { PURSER_API_TOKEN: 'x', PURSER_CA_FILE: 'a', PURSER_CA_SHA256: 'b' }, 'PURSER_CA'],
    ['no fingerprint', { PURSER_API_TOKEN: 'x', PURSER_CA_SHA256: 'zz' }, '64 hex'],
  ])('%s ends with 2', async (_, env, words) => {
    const { code, out, err } = await listWorkloads(env)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(words)
  })

  it('5 without a server', async () => {
    const { code, out, err } = await listWorkloads({ PURSER_API_TOKEN: 'x', PURSER_ADDR: 'https://127.0.0.1:1' })
    expect({ code, out }).toEqual({ code: 5, out: '' })
    expect(err).toContain('https://127.0.0.1:1')
  })

  it('5 for a server without TLS', async () => {
    const server = createServer((socket) => socket.end('hello\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const { code } = await listWorkloads({ PURSER_API_TOKEN: 'x', PURSER_ADDR: `https://127.0.0.1:${port}` })
    server.close()
    expect(code).toBe(5)
  })
})

describe('docs/cli.md', () => {
  const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')

  it.each(verbs.map((verb) => [verb.join(' '), verb]))('names %s', (_, verb) => {
    const rows = page.split('\n').filter((line) => line.startsWith(`| \`purser ${verb[0] ?? ''}`))
    expect(rows.join('\n')).toContain(verb.at(-1))
  })

  it('lists every exit code', () => {
    const codes = [...page.matchAll(/^\| (\d) +\|/gm)].map(([, code]) => Number(code))
    expect(codes).toEqual(Object.values(exitCodes))
  })
})
