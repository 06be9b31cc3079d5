import { createHash, createHmac } from 'node:crypto'
import type { ExportEntry } from '@purser/sdk/verify'
import { verifyExport } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hostileStrings } from '../support/hostile-strings.ts'
import { createIssuer, type Issuer, registerLab } from '../support/issuer.ts'
import { generous } from '../support/log-traffic.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

/** An independent RFC 8785: members sorted by UTF-16 units, no whitespace, the escapes of section 3.2.2.2. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const names = Object.keys(value).sort((a, b) => compareUnits(a, b))
    const members = value as Record<string, unknown>
    return `{${names.map((name) => `${quote(name)}:${canonical(members[name])}`).join(',')}}`
  }
  return typeof value === 'string' ? quote(value) : String(value)
}

function compareUnits(a: string, b: string): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const difference = a.charCodeAt(i) - b.charCodeAt(i)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

const short: Record<string, string> = {
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
  '"': '\\"',
  '\\': '\\\\',
}
function quote(text: string): string {
  let out = ''
  for (const unit of text) {
    const code = unit.codePointAt(0) ?? 0
    out += short[unit] ?? (code < 0x20 ? `\\u${code.toString(16).padStart(4, '0')}` : unit)
  }
  return `"${out}"`
}

describe.each(frontDoorStores)('hostile strings (%s)', (store) => {
  let purser: TestPurser
  let issuer: Issuer

  beforeAll(async () => {
    purser = await startPurser({ store, env: generous })
    issuer = await createIssuer()
    await registerLab(purser, issuer)
  })
  afterAll(() => purser.stop())

  it('each cause one entry, whose bytes equal those of any implementation of RFC 8785', async () => {
    const requests: string[] = []
    for (const text of hostileStrings) {
      const token = await issuer.token({ sub: 'nobody', note: text, more: [text, text] })
      const answer = await purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token } })
      expect([answer.status, answer.body.code]).toEqual([401, 'attestation_failed'])
      requests.push(String(answer.body.requestId))
    }
    expect(hostileStrings.length).toBeGreaterThanOrEqual(103)

    const { text: exported } = await purser.asAdmin('GET', '/api/v1/audit/export')
    const lines = exported.trimEnd().split('\n')
    const report = await verifyExport(lines, { vkeys: purser.vkeys })
    expect(report.problems).toEqual([])
    const entries = lines.map((line): ExportEntry => JSON.parse(line)).filter((line) => line.entry !== undefined)
    // Each line of the export is one entry: no text has started a new line.
    expect(entries).toHaveLength(report.entries)

    for (const [n, text] of hostileStrings.entries()) {
      const own = entries.filter(({ entry }) => entry.includes(String(requests[n])))
      expect(own).toHaveLength(1)
      const { entry = '', nonce = '' } = own[0] ?? {}
      const value = JSON.parse(entry)
      expect(canonical(value)).toBe(entry)
      const selectors: Record<string, unknown> = value.actor.selectors ?? {}
      // A text that is empty or too long for an attestor is left out. Others are recorded byte by byte.
      if (selectors['oidc:note'] !== undefined) expect(selectors['oidc:note']).toBe(text)
      expect([value.outcome, value.reason]).toEqual(['refused', 'no_workload'])
      const leaf = createHash('sha256')
        .update(Buffer.from([0]))
        .update(createHmac('sha256', Buffer.from(nonce, 'base64')).update(entry, 'utf8').digest())
        .digest('base64')
      expect(lines.some((line) => line.includes(leaf) || hashesOf(line).includes(leaf))).toBe(true)
    }
  })

  it('are refused when they are not UTF-8, or too long to be recorded whole', async () => {
    const forge = (payload: string) =>
      ['{"alg":"ES256","kid":"k1"}', payload, 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.')
    for (const [payload, reason] of [
      [`{"iss":"${issuer.issuer}","sub":"\\ud800"}`, 'proof_malformed'],
      [`{"iss":"${issuer.issuer}","sub":"${'x'.repeat(40_000)}"}`, 'invalid_request'],
    ]) {
      const proof = { kind: 'jwt', token: forge(String(payload)) }
      const answer = await purser.call('POST', '/api/v1/credentials', { proof })
      expect(answer.status).toBeLessThan(500)
      const search = await purser.asAdmin('GET', `/api/v1/audit/entries?requestId=${String(answer.body.requestId)}`)
      expect(search.body.items).toMatchObject([{ entry: { outcome: 'refused', reason } }])
      expect(search.text.length).toBeLessThan(4_000)
    }
    const agent = await purser.call('GET', '/api/v1/credentials/self', undefined, {
      headers: { 'user-agent': 'é'.repeat(300) },
    })
    const search = await purser.asAdmin('GET', `/api/v1/audit/entries?requestId=${String(agent.body.requestId)}`)
    expect(Buffer.byteLength(search.text)).toBeLessThan(4_000)
  })
})

function hashesOf(line: string): string[] {
  const { hashes }: { hashes?: string } = JSON.parse(line)
  if (hashes === undefined) return []
  const bytes = Buffer.from(hashes, 'base64')
  return Array.from({ length: bytes.length / 32 }, (_, n) => bytes.toString('base64', n * 32, n * 32 + 32))
}
