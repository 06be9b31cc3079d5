/**
 * `purser secret` against a real server over TLS: first what it refuses, then what it does, on pipes and on a
 * terminal.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { readLog } from '../support/operator.ts'
import { spawnPurser } from '../support/process.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { onTerminal } from '../support/terminal.ts'

const canary = 'hunter2-correct-horse'

let purser: TestPurser
let issuer: Issuer
const folder = mkdtempSync(join(tmpdir(), 'purser-secret-'))
const memory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'purser-run-'))
const file = (name: string, content: string | Buffer, mode = 0o600): string => {
  writeFileSync(join(folder, name), content, { mode })
  return join(folder, name)
}
const server = () => ({ PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem') })
const operator = () => ({ ...server(), PURSER_API_TOKEN: purser.admin })
const run = (argv: string[], stdin?: string, env: Record<string, string> = operator()) =>
  cli(['secret', ...argv], { env, ...(stdin !== undefined && { stdin }) })
async function done(argv: string[], stdin?: string): Promise<string> {
  const { code, out, err } = await run(argv, stdin)
  expect({ argv, code, err: code === 0 ? '' : err }).toEqual({ argv, code: 0, err: '' })
  return out
}
const reason = ['--reason', 'a test']

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'shop',
    attestor: 'lab',
    match: { 'oidc:sub': 'shop' },
    spiffeId: 'spiffe://example.org/lab/shop',
    grants: { secrets: [{ paths: ['prod/shop/*'], actions: ['read', 'list'] }] },
  })
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
  rmSync(memory, { recursive: true, force: true })
})

describe('a value on the command line is refused, and never repeated', () => {
  it.each([
    [['put', 'prod/a', canary]],
    [['put', 'prod/a', `password=${canary}`, 'more']],
    [['put', `password=${canary}`]],
    [['put', 'prod/a', '--field', `password=${canary}`]],
    [['put', 'prod/a', `--password=${canary}`]],
    [['patch', 'prod/a', canary]],
    [['get', 'prod/a', canary]],
    [['destroy', 'prod/a', canary, '--all']],
  ])('purser secret %j', async (argv) => {
    const { code, out, err } = await run(argv, '{}')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).not.toContain(canary)
    expect(err).toMatch(/stdin|not a valid path|unknown option/)
  })
})

describe('an invalid value is refused, and never repeated', () => {
  it.each<[string, string[], string]>([
    ['no JSON', [], canary],
    ['half a JSON object', [], `{ "password": "${canary}"`],
    ['an array', [], `["${canary}"]`],
    ['one member twice', [], `{ "a": "${canary}", "a": "b" }`],
    ['nothing', [], ''],
  ])('%s', async (_, more, stdin) => {
    const { code, out, err } = await run(['put', 'prod/none', ...more], stdin)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/standard input (is not valid JSON|is not a JSON object)/)
    expect(err).not.toContain('hunter2')
  })

  it('names the line of the fault', async () => {
    const { err } = await run(['put', 'prod/none'], '{\n  "a": 1,\n  "a": 2\n}')
    expect(err).toContain('duplicate_name, line 3')
  })

  it('bytes that are not UTF-8, from a file and from standard input', async () => {
    const bytes = file('bytes', Buffer.from([0xff, 0xfe, 0x00]))
    const fromFile = await run(['put', 'prod/none', '--file-field', `key=${bytes}`])
    expect([fromFile.code, fromFile.err]).toEqual([2, expect.stringContaining('base64')])
  })

  it.each<[string[], string]>([
    [['--file', 'x', '--field', 'a'], 'cannot be combined'],
    [['--file', '/nonexistent'], "can't read /nonexistent (ENOENT)"],
    [['--file-field', 'a'], 'name=file'],
    [['--newline'], '--newline needs --field'],
    [['--version', '-1'], 'whole number'],
  ])('put %j', async (more, words) => {
    const { code, err } = await run(['put', 'prod/none', ...more], '{}')
    expect(code).toBe(2)
    expect(err).toContain(words)
  })

  it('none of it was sent', async () => {
    expect((await run(['get', 'prod/none', ...reason])).err).toContain('404 not_found')
  })
})

describe('put, patch and get', () => {
  it('creates, replaces and reads; stdout has only the value, and the log records the reader and the reason', async () => {
    expect(await done(['put', 'prod/db/password'], `{ "username": "app", "password": "${canary}" }`)).toMatch(
      /^secret prod\/db\/password created, version 1 {2}log 1\/\d+\n$/,
    )
    expect(await done(['get', 'prod/db/password', '--field', 'password', ...reason])).toBe(canary)
    expect(JSON.parse(await done(['get', 'prod/db/password', ...reason]))).toEqual({
      username: 'app',
      password: canary,
    })
    expect(JSON.parse(await done(['get', 'prod/db/password', '-o', 'json', ...reason]))).toMatchObject({
      path: 'prod/db/password',
      version: 1,
      data: { password: canary },
      receipt: { index: expect.any(Number) },
    })
    const read = (await readLog(purser)).findLast((entry) => entry.action === 'secret.read')
    expect(read).toMatchObject({ outcome: 'granted', actor: { operator: 'admin', note: 'a test' } })
    expect(await done(['put', 'prod/db/password', '--file', '-'], `{ "password": "second" }`)).toContain('version 2')
    expect(await done(['get', 'prod/db/password', '--version', '1', '--field', 'username', ...reason])).toBe('app')
  })

  it('keeps the text of a member exactly, except for the line break that echo adds', async () => {
    await done(['put', 'prod/text', '--field', 'a'], ' two  words\t\n')
    expect(await done(['get', 'prod/text', '--field', 'a', ...reason])).toBe(' two  words\t')
    await done(['put', 'prod/text', '--field', 'a', '--newline'], 'kept\n')
    expect(await done(['get', 'prod/text', '--field', 'a', ...reason])).toBe('kept\n')
    const pem = file('key.pem', '-----BEGIN X-----\nabc\n-----END X-----\n')
    await done(['patch', 'prod/text', '--file-field', `tls.key=${pem}`])
    expect(JSON.parse(await done(['get', 'prod/text', ...reason]))).toEqual({
      a: 'kept\n',
      'tls.key': '-----BEGIN X-----\nabc\n-----END X-----\n',
    })
  })

  it('writes a complete, private file, and replaces an existing one', async () => {
    const out = file('value.json', 'old', 0o644)
    const { code, out: stdout, err } = await run(['get', 'prod/db/password', '--out', out, ...reason])
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(err).not.toContain('second')
    expect(JSON.parse(readFileSync(out, 'utf8'))).toEqual({ password: 'second' })
    expect(statSync(out).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder).filter((name) => name.includes('.new-'))).toEqual([])
  })

  it('asks an operator for a reason before anything is read, also on a pipe', async () => {
    const before = (await readLog(purser)).length
    for (const reason of [[], ['--reason', ' ']]) {
      const { code, out, err } = await run(['get', 'prod/db/password', ...reason])
      expect({ code, out }).toEqual({ code: 2, out: '' })
      expect(err).toContain('--reason')
    }
    expect((await readLog(purser)).length).toBe(before)
  })

  it('of a missing member names the existing ones, and no value', async () => {
    const { code, out, err } = await run(['get', 'prod/db/password', '--field', 'toString', ...reason])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain('its members are: password')
    expect(err).not.toContain('second')
  })

  it('replaces the version of --version, or reports that another version was written first', async () => {
    for (const version of ['0', '1', '7']) {
      const { code, out, err } = await run(['put', 'prod/db/password', '--version', version], '{ "password": "third" }')
      expect({ code, out }).toEqual({ code: 3, out: '' })
      expect(err).toContain('nothing was written')
      expect(err).toContain('purser secret history prod/db/password')
      expect(err).not.toContain('third')
    }
    expect(await done(['put', 'prod/db/password', '--version', '2'], '{ "password": "third" }')).toContain('version 3')
  })

  it('an expiry is counted from now; the server refuses patch without a change', async () => {
    await done(['put', 'prod/brief', '--expires', '1h'], '{ "a": 1 }')
    const { items } = JSON.parse(await done(['history', 'prod/brief', '-o', 'json'])) as {
      items: { expiresAt: string }[]
    }
    const remainingMs = Date.parse(items[0]?.expiresAt ?? '') - Date.now()
    expect(remainingMs).toBeGreaterThan(3000_000)
    expect(remainingMs).toBeLessThanOrEqual(3600_000)
    expect((await run(['patch', 'prod/nowhere'], '{}')).err).toContain('create it with purser secret put')
  })

  it('accepts the maximum number of members, and no more', async () => {
    const { code, err } = await run(['put', 'prod/large', '--field', 'a'], 'x'.repeat(200 * 1024))
    expect(code).toBe(3)
    expect(err).toMatch(/413|too_large/)
  })
})

describe('as a workload', () => {
  const asWorkload = async (argv: string[]) => {
    const token = file('token.jwt', await issuer.token({ sub: 'shop' }))
    const [vkey = ''] = purser.vkeys
    return run([...argv, '--as-workload', '--proof-file', token], undefined, { ...server(), PURSER_LOG_KEY: vkey })
  }

  it('reads within its grants, without a reason, and lists what it may list', async () => {
    await done(['put', 'prod/shop/key'], `{ "key": "${canary}" }`)
    expect(await asWorkload(['get', 'prod/shop/key', '--field', 'key'])).toMatchObject({ code: 0, out: canary })
    const refused = await asWorkload(['get', 'prod/db/password'])
    expect(refused).toMatchObject({ code: 3, out: '', err: expect.stringContaining('not_granted') })
    const { out } = await asWorkload(['list', '-o', 'json'])
    expect((JSON.parse(out) as { items: { path: string }[] }).items.map((item) => item.path)).toEqual(['prod/shop/key'])
    const read = (await readLog(purser)).findLast(
      (entry) => entry.action === 'secret.read' && entry.outcome === 'granted',
    )
    expect(read).toMatchObject({ actor: { kind: 'workload', workload: 'shop' } })
  })
})

describe('versions', () => {
  it('name an operator as the log does', async () => {
    await done(['put', 'prod/spelling'], '{ "v": "1" }')
    const [, version] = (await done(['history', 'prod/spelling'])).split('\n')
    const actor = /put +(\S+)/.exec(version ?? '')?.[1] ?? ''
    const { out } = await cli(['audit', 'search', '--action', 'secret.put', '--actor', actor], { env: operator() })
    const row = out.split('\n').find((line) => line.includes('prod/spelling'))
    expect(row?.split(/ {2,}/)[4]).toBe(actor)
    await done(['get', 'prod/spelling', ...reason])
    expect(await done(['consumers', 'prod/spelling'])).toMatch(/^admin +/m)
  })

  it('are listed, deleted, brought back and destroyed, and no output has a value', async () => {
    for (const n of [1, 2, 3]) await done(['put', 'prod/versions'], `{ "v": "${canary}-${n}" }`)
    const outputs = [
      await done(['list', 'prod/v']),
      await done(['delete', 'prod/versions', '--version', '3', '--reason', 'x']),
      await done(['history', 'prod/versions']),
    ]
    expect(outputs[2]).toMatch(/^3 +deleted .* put +admin +20/m)
    expect((await run(['get', 'prod/versions', ...reason])).code).toBe(3)
    expect(outputs[0]).toMatch(/^PATH +VERSION +STATE +CHANGED\nprod\/versions +3 +live +20/m)
    expect(await done(['list', 'prod/v'])).toMatch(/^prod\/versions +3 +deleted 20\S+ \S+ +20/m)
    outputs.push(await done(['undelete', 'prod/versions', '--versions', '3']))
    expect(await done(['get', 'prod/versions', '--field', 'v', ...reason])).toBe(`${canary}-3`)
    outputs.push(await done(['destroy', 'prod/versions', '--versions', '1,2']))
    outputs.push(await done(['history', 'prod/versions']))
    expect(outputs.at(-1)).toMatch(/^3 +live[^]*^2 +destroyed[^]*^1 +destroyed/m)
    expect((await run(['undelete', 'prod/versions', '--versions', '1'])).code).toBe(3)
    outputs.push(await done(['destroy', 'prod/versions', '--all']))
    expect((await run(['history', 'prod/versions'])).err).toContain('404 not_found')
    expect(outputs.join('')).not.toContain(canary)
  })

  it('destroy asks which versions', async () => {
    for (const argv of [[], ['--all', '--versions', '1']]) {
      expect((await run(['destroy', 'prod/versions', ...argv])).err).toContain('--versions 1,2 or --all')
    }
  })

  it('metadata is shown, and changed in part', async () => {
    await done(['put', 'prod/said'], '{ "a": 1 }')
    const change = ['--label', 'team=shop', '--label', 'env=prod', '--description', 'for tests', '--max-versions', '3']
    await done(['metadata', 'prod/said', ...change])
    const metadata = JSON.parse(await done(['metadata', 'prod/said', '--remove-label', 'env', '-o', 'json']))
    expect(metadata).toMatchObject({ labels: { team: 'shop' }, description: 'for tests', maxVersions: 3, version: 1 })
    expect(await done(['metadata', 'prod/said'])).toMatch(/^description: for tests$/m)
  })
})

describe('edit', () => {
  /** An editor that is a script, with its effect on the file. */
  const editor = (name: string, body: string): string => file(name, `#!/bin/sh\n${body}\n`, 0o700)
  const edit = (script: string, more: string[] = reason, path = 'prod/edited') =>
    run(['edit', path, ...more], undefined, {
      ...operator(),
      EDITOR: script,
      PATH: process.env.PATH ?? '',
      XDG_RUNTIME_DIR: memory,
    })
  const nothingLeft = () => expect(readdirSync(memory)).toEqual([])

  it('asks for an editor, and a reason', async () => {
    expect((await run(['edit', 'prod/edited', ...reason])).err).toContain('set VISUAL or EDITOR')
    expect((await edit('true', [])).err).toContain('--reason')
  })

  it('creates a version of the saved text; the private file and everything beside it are removed', async () => {
    await done(['put', 'prod/edited'], `{ "password": "${canary}" }`)
    const recording = join(folder, 'seen')
    const script = editor(
      'good',
      `{ stat -c %a "$1"; stat -c %a "$(dirname "$1")"; cat "$1"; } > ${recording}\ncp "$1" "$1~"\nsed -i s/${canary}/changed/ "$1"`,
    )
    expect(await edit(script)).toMatchObject({ code: 0, out: expect.stringContaining('version 2'), err: '' })
    expect(readFileSync(recording, 'utf8')).toBe(`600\n700\n{\n  "password": "${canary}"\n}\n`)
    expect(await done(['get', 'prod/edited', '--field', 'password', ...reason])).toBe('changed')
    nothingLeft()
  })

  it.each([
    ['an editor that fails', 'exit 3', 1, 'ended with 3'],
    ['text that is not JSON', 'echo hunter2 > "$1"', 2, 'the saved file is not valid JSON'],
    ['a file that the editor took away', 'rm "$1"', 1, 'ENOENT'],
  ])('%s: nothing is written, and no file stays', async (name, body, code, words) => {
    const result = await edit(editor(name.replaceAll(' ', '-'), body))
    expect(result).toMatchObject({ code, out: '', err: expect.stringContaining(words) })
    expect(result.err).not.toContain('hunter2')
    expect(await done(['history', 'prod/edited'])).not.toMatch(/^3 /m)
    nothingLeft()
  })

  it('writes nothing if the value did not change, or if another version was written meanwhile', async () => {
    expect(await edit('true')).toMatchObject({ code: 0, out: 'secret prod/edited unchanged\n' })
    const wait = join(folder, 'opened')
    const slow = editor(
      'slow',
      `touch ${wait}\nwhile [ -e ${wait} ]; do sleep 0.1; done\necho '{"password":"mine"}' > "$1"`,
    )
    const editing = edit(slow)
    while (!existsSync(wait)) await pause(20)
    await done(['put', 'prod/edited'], '{ "password": "theirs" }')
    rmSync(wait)
    expect(await editing).toMatchObject({
      code: 3,
      out: '',
      err: expect.stringContaining('so nothing was written'),
    })
    expect(await done(['get', 'prod/edited', '--field', 'password', ...reason])).toBe('theirs')
    nothingLeft()
  })

  it.each(['SIGTERM', 'SIGHUP'] as const)(
    'by %s: the editor ends, and the file is removed; ps never shows the value',
    async (signal) => {
      await done(['put', 'prod/signal'], `{ "password": "${canary}" }`)
      const wait = join(folder, `open-${signal}`)
      const slow = editor(`slow-${signal}`, `touch ${wait}\nexec sleep 60`)
      const { child, ended, out, err } = spawnPurser(['secret', 'edit', 'prod/signal', ...reason], {
        ...operator(),
        EDITOR: slow,
        XDG_RUNTIME_DIR: memory,
      })
      while (!existsSync(wait)) await pause(20)
      expect(readdirSync(memory)).toHaveLength(1)
      const commands = readdirSync('/proc')
        .filter((name) => /^\d+$/.test(name))
        .map(commandOf)
      expect(commands.some((command) => command.includes('prod/signal'))).toBe(true)
      expect(commands.join('\n')).not.toContain(canary)
      child.kill(signal)
      expect(await ended).toEqual({ code: 1, signal: null })
      expect(out() + err()).not.toContain(canary)
      nothingLeft()
    },
  )

  const commandOf = (pid: string): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'latin1')
    } catch {
      return ''
    }
  }
})

describe('on a terminal', () => {
  it('a value is shown only with --reveal and --reason, and nothing is read before', async () => {
    await done(['put', 'prod/shown'], `{ "password": "${canary}\\u001b[2J" }`)
    const before = (await readLog(purser)).length
    for (const more of [[], reason, ['--reveal']]) {
      const { code, output } = await onTerminal(['secret', 'get', 'prod/shown', ...more], operator())
      expect(code).toBe(2)
      expect(output).not.toContain(canary)
      expect(output).toContain('--reason')
    }
    expect((await readLog(purser)).length).toBe(before)
    const { code, output } = await onTerminal(
      ['secret', 'get', 'prod/shown', '--field', 'password', '--reveal', ...reason],
      operator(),
    )
    expect({ code, output }).toEqual({ code: 0, output: `${canary}\\u001b[2J\r\n` })
  })

  it('reads a member from the terminal without echo', async () => {
    const typed = { prompt: 'text of password: ', text: `${canary}\r` }
    const { code, output } = await onTerminal(['secret', 'put', 'prod/typed', '--field', 'password'], operator(), typed)
    expect({ code, output: output.replace(/log .*/s, '') }).toEqual({
      code: 0,
      output: 'text of password: \r\nsecret prod/typed created, version 1  ',
    })
    expect(await done(['get', 'prod/typed', '--field', 'password', ...reason])).toBe(canary)
  })

  it('a whole value cannot be typed', async () => {
    const { code, output } = await onTerminal(['secret', 'put', 'prod/typed'], operator())
    expect(code).toBe(2)
    expect(output).toContain('purser secret edit')
  })
})

it('no value is in the server log or the audit log', async () => {
  expect(purser.logs.join('')).not.toContain('hunter2')
  expect(JSON.stringify(await readLog(purser))).not.toContain('hunter2')
})
