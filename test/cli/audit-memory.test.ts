/** The verification of an export of any size takes little memory: a child process with less memory than the export has. */
import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { EXPORT_BLOCK, createNoteSigner, entryLeaf, rootOf, signCheckpoint } from '@purser/sdk/verify'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { builtMain } from '../support/main.ts'

const size = 20_000
const megabytes = 32
const origin = 'prod.example/log/1'
const signer = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey)
const folder = mkdtempSync(join(tmpdir(), 'purser-audit-memory-'))
const file = join(folder, 'log.jsonl')

const nonceAt = (index: number): string => Buffer.alloc(32, String(index)).toString('base64')
/** Canonical JSON. */
const entryAt = (index: number): string =>
  `{"action":"secret.read","detail":{"padding":"${'x'.repeat(3000)}"},"outcome":"granted","requestId":"req_${index}","v":1}`

function* lines(): Generator<string> {
  const leaves = Array.from({ length: size }, (_, index) => entryLeaf(nonceAt(index), entryAt(index)))
  const checkpoint = signCheckpoint(origin, size, rootOf(leaves), [signer])
  const header = { purserExport: 1, origin, epoch: 1, from: 0, to: size, checkpoint, left: [], right: [], vkeys: [] }
  yield `${JSON.stringify(header)}\n`
  for (let first = 0; first < size; first += EXPORT_BLOCK) {
    const block = leaves.slice(first, first + EXPORT_BLOCK)
    yield `${JSON.stringify({ hashes: Buffer.concat(block).toString('base64'), first })}\n`
    for (let index = first; index < first + block.length; index++) {
      yield `${JSON.stringify({ epoch: 1, index, entry: entryAt(index), nonce: nonceAt(index) })}\n`
    }
  }
}

beforeAll(() => pipeline(Readable.from(lines()), createWriteStream(file)))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('verifies an export that is larger than its memory, and shows its progress', async () => {
  expect(statSync(file).size).toBeGreaterThan(1.8 * megabytes * 2 ** 20)
  const limit = `--max-old-space-size=${megabytes}`
  const args = [limit, builtMain(), 'audit', 'verify', file, '--key', signer.vkey, '--progress']
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env: { PATH: process.env['PATH'] } })
  expect(stdout).toContain(`entries 0 to ${size - 1} are all here, unchanged and in their places`)
  expect(stderr).toMatch(/verified 20,000 entries, \d+\.\d MB \(100 %\), [\d,]+ entries\/s\n$/)
})
