/** The auditors' verbs: against a real server, and offline. */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openCheckpoint, parseProof } from '@purser/sdk/verify'
import type { Receipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { generous, issueMany } from '../support/log-traffic.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
let receipts: Receipt[]
let issuer: Issuer
let vkey: string
const folder = mkdtempSync(join(tmpdir(), 'purser-cli-audit-'))
const file = (name: string, content = ''): string => {
  if (content !== '') writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const run = (args: string[], stdin?: string) =>
  cli(args, {
    env: { PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'), PURSER_API_TOKEN: purser.admin },
    ...(stdin !== undefined && { stdin }),
  })
/** With an empty environment: verification makes no request. */
const verify = (...args: string[]) => cli(['audit', 'verify', ...args], { env: {} })

beforeAll(async () => {
  purser = await startPurser({ tls: true, env: generous })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  receipts = await issueMany(purser, issuer, 30)
  vkey = String(purser.vkeys[0])
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('audit search', () => {
  it('prints a table, and the range of indexes that it searched', async () => {
    const { code, out, err } = await run(['audit', 'search', '--workload', 'web', '--limit', '3'])
    expect(code).toBe(0)
    const [head, ...rows] = out.trimEnd().split('\n')
    expect(head).toMatch(/^INDEX +TIME +ACTION +OUTCOME +WHO +WHAT$/)
    expect(rows).toHaveLength(3)
    for (const row of rows) {
      expect(row).toMatch(/^\d+ +20\S+ \S+ +credentials\.issue +granted +spiffe:\/\/example\.org\/lab\/web/)
    }
    expect(err).toMatch(/^searched entries \d+ to \d+ of epoch 1\nthere are more/)
  })

  it('continues from page to page, and prints JSON for programs', async () => {
    const { out, err } = await run(['audit', 'search', '--action', 'credentials.issue', '-n', '500', '-o', 'json'])
    const { items, range, more, checkpoint } = JSON.parse(out)
    expect(items).toHaveLength(30)
    expect([range.epoch, range.from, more]).toEqual([1, 0, false])
    expect(checkpoint).toContain('example.org/log/1')
    expect(err).toContain('searched entries 0 to')
  })

  it('ends with 3 and the pointer of an invalid filter', async () => {
    const { code, err } = await run(['audit', 'search', '--serial-number', 'zz'])
    expect(code).toBe(3)
    expect(err).toContain('/query/serialNumber')
  })
})

describe('audit export and verify', () => {
  const exported = file('log.jsonl')

  beforeAll(async () => {
    const { code, err } = await run(['audit', 'export', '--file', exported])
    expect({ code, err }).toEqual({
      code: 0,
      err: expect.stringMatching(/^the log records this export as entry 1\/\d+\n$/),
    })
  })

  it('prove the entries, and state what they cannot exclude', async () => {
    expect(statSync(exported).mode & 0o777).toBe(0o600)
    const receipt = file('receipt.json', JSON.stringify({ spiffeId: 'x', receipt: receipts[7] }, null, 2))
    const { code, out } = await verify(exported, '--key', vkey, '--receipt', receipt)
    expect(code).toBe(0)
    expect(out).toMatch(/^proved:\n/)
    expect(out).toMatch(/entries 0 to \d+ are all here, unchanged and in their places/)
    expect(out).toContain(`the log only grew since the receipt of entry ${receipts[7]?.index} was made`)
    expect(out).toMatch(/\nnot excluded:\n[^]*no witness was asked/)
    expect(out).toMatch(/\nverified\n$/)
  })

  it('show their progress on request, apart from their output', async () => {
    const { out: text, err } = await run(['audit', 'export', '--progress'])
    const entries = text.split('\n').filter((line) => line.startsWith('{"epoch"')).length
    expect(err).toMatch(new RegExp(`^exported ${entries} entries, \\d+\\.\\d kB, [\\d,]+ entries/s\nthe log records`))
    const { code, err: verified } = await verify(file('shown.jsonl', text), '--key', vkey, '--progress')
    expect({ code, verified }).toMatchObject({
      code: 0,
      verified: expect.stringMatching(
        new RegExp(`^verified ${entries} entries, \\d+\\.\\d kB \\(100 %\\), [\\d,]+ entries/s\n$`),
      ),
    })
  })

  it('read the standard input, and keys from the environment', async () => {
    const { out: text } = await run(['audit', 'export'])
    const { code, out } = await cli(['audit', 'verify', '-', '-o', 'json'], {
      env: { PURSER_LOG_KEY: vkey },
      stdin: text,
    })
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ ok: true, problems: [] })
  })

  it.each([
    [
      'an edited entry',
      (text: string) => text.replace('lab/web', 'lab/wab'),
      /wrong:\n {2}epoch 1, entry \d+: entry_mismatch/,
    ],
    [
      'a missing end',
      (text: string) => text.split('\n').slice(0, -4).join('\n'),
      /wrong:\n {2}epoch 1, entries \d+ to \d+: missing_entry/,
    ],
    [
      'terminal escapes',
      (text: string) => text.replace('"epoch":1,"index":3', '"epoch":1,"index":"\u001b[2J"'),
      /wrong:/,
    ],
  ])('end with 4 and are named: %s', async (_, change, words) => {
    const changed = file('changed.jsonl', change(readFileSync(exported, 'utf8')))
    const { code, out, err } = await verify(changed, '--key', vkey)
    expect({ code, err }).toEqual({ code: 4, err: 'purser: verification failed\n' })
    expect(out).toMatch(words)
    expect(out).not.toContain('\u001b')
    expect(out).toMatch(/\nNOT VERIFIED\n$/)
  })

  it('detect a missing tail by an earlier head, printed by `log head`', async () => {
    const { out: head } = await run(['log', 'head'])
    const headFile = file('head.note', head)
    const part = file('part.jsonl')
    await run(['audit', 'export', '--file', part])
    expect((await verify(part, '--key', vkey, '--checkpoint', headFile)).code).toBe(0)
    const { code, out } = await verify(exported, '--key', vkey, '--checkpoint', headFile)
    expect(code).toBe(4)
    expect(out).toMatch(/tail_cut: the checkpoint over \d+ entries is newer than the export: .*Export the log again/)
  })

  it('verify with the key that `log key` prints', async () => {
    const { out: key } = await run(['log', 'key'])
    expect(key.trim()).toBe(vkey)
    expect((await verify(exported, '--key', key.trim())).code).toBe(0)
  })

  it('are not overwritten without --force', async () => {
    const existing = file('taken.jsonl', 'precious')
    const { code, err } = await run(['audit', 'export', '-f', existing])
    expect(code).toBe(2)
    expect(err).toContain('it exists: name another file, or overwrite it with --force')
    expect(readFileSync(existing, 'utf8')).toBe('precious')
    expect((await run(['audit', 'export', '-f', existing, '--force'])).code).toBe(0)
    expect((await verify(existing, '--key', vkey)).code).toBe(0)
  })

  it('leave no file behind when they fail, and --force keeps the old file', async () => {
    const next = join(mkdtempSync(join(folder, 'failed-')), 'next.jsonl')
    const refused = ['audit', 'export', '-f', next, '--epoch', '99']
    expect(await run(refused)).toMatchObject({ code: 3, out: '' })
    expect(readdirSync(dirname(next))).toEqual([])
    writeFileSync(next, 'precious')
    expect((await run([...refused, '--force'])).code).toBe(3)
    expect(readFileSync(next, 'utf8')).toBe('precious')
    rmSync(next)

    const proxy = createServer((client) => {
      const upstream = connect(Number(new URL(purser.url).port), '127.0.0.1')
      let bytes = 0
      upstream.on('data', (chunk: Buffer) => {
        const rest = 16_384 - bytes
        bytes += chunk.length
        if (chunk.length < rest) client.write(chunk)
        else client.end(chunk.subarray(0, Math.max(0, rest)))
      })
      client.on('data', (chunk) => upstream.write(chunk))
      client.on('close', () => upstream.destroy())
      for (const socket of [client, upstream]) socket.on('error', () => undefined)
    })
    await once(proxy.listen(0, '127.0.0.1'), 'listening')
    const { port } = proxy.address() as AddressInfo
    const cut = await run(['audit', 'export', '-f', next, '--addr', `https://127.0.0.1:${port}`])
    proxy.close()
    expect(cut).toMatchObject({ code: 5, err: expect.stringContaining('the export is incomplete') })
    expect(readdirSync(dirname(next))).toEqual([])

    expect((await run(['audit', 'export', '-f', next])).code).toBe(0)
    expect((await verify(next, '--key', vkey)).code).toBe(0)
    expect(readdirSync(dirname(next))).toEqual(['next.jsonl'])
    expect(statSync(next).mode & 0o777).toBe(0o600)
  })

  it('do not take the place of a folder or a device', async () => {
    const { code, err } = await run(['audit', 'export', '-f', folder, '--force'])
    expect([code, err]).toEqual([2, expect.stringContaining('it is not a regular file: name another')])
    expect((await run(['audit', 'export', '-f', join(folder, 'absent', 'log.jsonl')])).err).toContain('ENOENT')
  })

  it('begin at a duration before now', async () => {
    const { code, out } = await run(['audit', 'export', '--since', '1h'])
    expect([code, out.slice(0, 16)]).toEqual([0, '{"purserExport":'])
    expect((await run(['audit', 'search', '--since', '30m', '--until', '0s'])).code).toBe(2)
    expect((await run(['audit', 'search', '--since', '30m'])).code).toBe(0)
    const wrong = await run(['audit', 'export', '--since', 'yesterday'])
    expect(wrong.code).toBe(2)
    expect(wrong.err).toContain('a time such as 2026-11-24T00:00:00Z, or a duration such as 30m')
  })

  it('verify a receipt', async () => {
    const [receipt] = receipts
    const good = await verify(file('one.json', JSON.stringify(receipt)), '--key', vkey)
    expect(good.code).toBe(0)
    expect(good.out).toContain(`the log holds entry ${receipt?.index} unchanged: credentials.issue granted`)
    const edited = { ...receipt, entry: receipt?.entry.replace('granted', 'refused') }
    const bad = await verify(file('bad.json', JSON.stringify(edited)), '--key', vkey)
    expect(bad.code).toBe(4)
    expect(bad.out).toContain(`epoch 1, entry ${receipt?.index}: bad_receipt`)
    const stranger = 'example.org/log/1+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
    const other = await verify(join(folder, 'one.json'), '--key', stranger)
    expect(other.code).toBe(2)
    expect((await verify(file('none.json', 'nothing'), '--key', vkey)).code).toBe(4)
  })

  it('compare a receipt with an earlier head, if it has the consistency proof', async () => {
    const first = parseProof(receipts[0]?.proof).checkpoint
    const headFile = file('first.note', first)
    const alone = await verify(file('two.json', JSON.stringify(receipts[29])), '--key', vkey, '--checkpoint', headFile)
    expect([alone.code, alone.out]).toEqual([0, expect.stringContaining('the receipt has no consistency proof for it')])
    const { size } = openCheckpoint(first, [vkey])
    const token = await issuer.token()
    const { body } = await purser.call('POST', '/api/v1/credentials', {
      proof: { kind: 'jwt', token },
      receipt: { sinceSize: size },
    })
    const result = await verify(file('grown.json', JSON.stringify(body)), '--key', vkey, '--checkpoint', headFile)
    expect([result.code, result.out]).toEqual([0, expect.stringContaining('the log only grew since the checkpoint')])
    const edited = file('edited.note', first.replace(`\n${size}\n`, `\n${size + 1}\n`))
    expect((await verify(join(folder, 'grown.json'), '--key', vkey, '--checkpoint', edited)).code).toBe(4)
  })

  it('reject a wrong command before they read', async () => {
    expect(await verify(exported)).toMatchObject({ code: 2, err: expect.stringContaining('PURSER_LOG_KEY') })
    expect(await verify(exported, '--key', 'x')).toMatchObject({ code: 2, err: expect.stringContaining('--key') })
    expect(await verify(join(folder, 'absent'), '--key', vkey)).toMatchObject({ code: 2 })
    expect(await verify(exported, '--key', vkey, '--receipt', join(folder, 'absent'))).toMatchObject({ code: 2 })
  })
})

describe('log open', () => {
  it('needs a reason and a closed log', async () => {
    expect((await run(['log', 'open'])).code).toBe(2)
    const { code, err } = await run(['log', 'open', '--reason', 'a try'])
    expect(code).toBe(3)
    expect(err).toContain('conflict')
  })
})
