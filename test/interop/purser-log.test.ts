// Independent readers of the log: Go's sumdb for the heads, transparency-dev for the proofs, Python for the entries.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { commitment, openCheckpoint, parseProof, verifyReceipt } from '@purser/sdk/verify'
import type { Receipt } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ageEntries } from '../support/age-entries.ts'
import { hostileStrings } from '../support/hostile-strings.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { generous, issueMany } from '../support/log-traffic.ts'
import { startPurser } from '../support/purser.ts'
import type { TestPurser } from '../support/purser.ts'
import { check } from './support/checker.ts'

let purser: TestPurser
let receipts: Receipt[]
let ahead = 0
const base64 = (bytes: Buffer): string => bytes.toString('base64')

beforeAll(async () => {
  purser = await startPurser({ store: 'embedded', env: generous, now: () => new Date(Date.now() + ahead) })
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  for (const note of hostileStrings) {
    const token = await issuer.token({ sub: 'nobody', note })
    await purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token } })
  }
  receipts = await issueMany(purser, issuer, 300)
})
afterAll(() => purser.stop())

describe('heads', () => {
  it('are notes that golang.org/x/mod/sumdb/note opens with the listed key', async () => {
    const notes = [receipts[0], receipts[40], receipts.at(-1)].map((receipt) => parseProof(receipt?.proof).checkpoint)
    for (const note of [...notes, (await purser.call('GET', '/log/1/checkpoint')).text]) {
      const text = note.slice(0, note.indexOf('\n\n') + 1)
      expect(await check('note', { note, vkeys: purser.vkeys })).toEqual({
        text,
        verified: ['example.org/log/1'],
        unverified: [],
      })
    }
  })

  it('do not open when a digit is changed', async () => {
    const note = (await purser.call('GET', '/log/1/checkpoint')).text.replace(
      /\n(\d)/,
      (_, digit) => `\n${9 - Number(digit)}`,
    )
    expect(await check('note', { note, vkeys: purser.vkeys })).toMatchObject({ error: expect.any(String) })
  })
})

describe('proofs', () => {
  it('of inclusion hold for transparency-dev/merkle, from the first head to the last', async () => {
    for (const receipt of receipts.filter((_, n) => n % 12 === 0)) {
      const { index, checkpoint } = verifyReceipt(receipt, { vkeys: purser.vkeys })
      const question = {
        index,
        size: checkpoint.size,
        leaf: base64(commitment(Buffer.from(receipt.nonce, 'base64'), receipt.entry)),
        proof: parseProof(receipt.proof).hashes.map(base64),
        root: base64(checkpoint.root),
      }
      expect(await check('inclusion', question)).toEqual({ proven: true })
      const other = { ...question, leaf: base64(commitment(Buffer.alloc(32), receipt.entry)) }
      expect(await check('inclusion', other)).toMatchObject({ error: expect.any(String) })
    }
  })

  it('of growth hold between every two of the published heads', async () => {
    const heads = new Map(
      receipts
        .map((receipt) => verifyReceipt(receipt, { vkeys: purser.vkeys }).checkpoint)
        .map((checkpoint) => [checkpoint.size, checkpoint]),
    )
    const sizes = [...heads.keys()].toSorted((a, b) => a - b).filter((_, n) => n % 5 === 0)
    for (const [n, from] of sizes.entries()) {
      for (const to of sizes.slice(n)) {
        const answer = await purser.asAdmin('GET', `/api/v1/audit/consistency?from=${from}&to=${to}`)
        const question = {
          size1: from,
          size2: to,
          proof: answer.body.consistency as string[],
          root1: base64(heads.get(from)?.root ?? Buffer.alloc(0)),
          root2: base64(heads.get(to)?.root ?? Buffer.alloc(0)),
        }
        expect(await check('consistency', question)).toEqual({ proven: true })
      }
    }
  })
})

describe('entries', () => {
  const script = fileURLToPath(new URL('python/verify_export.py', import.meta.url))
  const python = (input: string) => spawnSync('python3', [script], { input, encoding: 'utf8' })
  const exported = async () => (await purser.asAdmin('GET', '/api/v1/audit/export')).text

  it('have the bytes, commitments and root that Python computes', async () => {
    const text = await exported()
    const { status, stdout, stderr } = python(text)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const header: { checkpoint: string; to: number } = JSON.parse(text.slice(0, text.indexOf('\n')))
    const head = openCheckpoint(header.checkpoint, purser.vkeys)
    expect(JSON.parse(stdout)).toEqual({ entries: header.to, root: base64(head.root) })
    expect(header.to).toBeGreaterThan(400)

    const changed = text.replace('"outcome\\":\\"granted', '"outcome\\":\\"refused')
    expect(changed).not.toBe(text)
    expect(python(changed).status).not.toBe(0)
  })

  it('lack their text for Python only where a redaction states it', async () => {
    ahead = 40 * 3600_000
    await ageEntries(purser.knex, 31)
    const [first, last] = [receipts[5]?.index ?? 0, receipts[15]?.index ?? 0]
    const range = { epoch: 1, from: first, to: last, rule: 'a month' }
    expect((await purser.asAdmin('POST', '/api/v1/log:redact', range)).body.redacted).toBe(last - first)
    const text = await exported()
    expect(python(text)).toMatchObject({ status: 0, stderr: '' })
    const removed = text.replace(
      new RegExp(`^\\{"epoch":1,"index":${last},.*$`, 'm'),
      `{"epoch":1,"index":${last},"redacted":true}`,
    )
    expect(python(removed)).toMatchObject({ status: 1, stderr: `no redaction covers [${last}]\n` })
  })

  it('lack only what a redaction by range and number states, for Python', () => {
    const path = fileURLToPath(new URL('../sdk/verify/exports/redacted-range.jsonl', import.meta.url))
    const text = readFileSync(path, 'utf8')
    expect(python(text)).toMatchObject({ status: 0, stderr: '' })
    const removed = text.replace(/^.*workload\.disable.*$/m, '{"epoch":1,"index":14,"redacted":true}')
    expect(python(removed)).toMatchObject({ status: 1, stderr: 'no redaction covers [16]\n' })
  })
})
