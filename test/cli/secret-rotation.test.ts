/** `purser secret rotate`, `rotation`, `consumers` and `status` against a real server over TLS. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatVkey } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { createClock } from '../support/clock.ts'
import { type Pod, createPods } from '../support/consumers.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const canary = 'hunter2-correct-horse'
const clock = createClock()

let purser: TestPurser
let pods: Pod[]
const folder = mkdtempSync(join(tmpdir(), 'purser-rotation-'))
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const run = (line: string, stdin?: string) =>
  cli(['secret', ...line.split(' ')], {
    env: {
      PURSER_ADDR: purser.url,
      PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
      PURSER_API_TOKEN: purser.admin,
    },
    ...(stdin !== undefined && { stdin }),
  })
const proof = (line: string, key = purser.vkeys.join(',')) =>
  cli(['secret', ...line.split(' ')], {
    env: {
      PURSER_ADDR: purser.url,
      PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'),
      PURSER_API_TOKEN: purser.admin,
      PURSER_LOG_KEY: key,
    },
  })
async function done(line: string, stdin?: string): Promise<string> {
  const { code, out, err } = await run(line, stdin)
  expect({ line, code, err: code === 0 ? '' : err }).toEqual({ line, code: 0, err: '' })
  expect(out).not.toContain(canary)
  return out
}
async function pass(seconds: number): Promise<void> {
  clock.advance(seconds)
  for (let n = 0; n < 3; n++) {
    await purser.runJobs()
    clock.advance(1)
  }
}

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true, now: clock.now })
  const { start } = await createPods(purser, clock, ['pod-0', 'pod-1'])
  pods = [await start('pod-0'), await start('pod-1')]
  await done('put prod/db', JSON.stringify({ user: 'app', password: canary }))
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('refused before anything is sent', () => {
  it.each([
    `rotate prod/db ${canary}`,
    `rotation retire prod/db ${canary}`,
    `consumers prod/db ${canary}`,
    `status prod/db ${canary}`,
    `rotate password=${canary}`,
    `rotate prod/db --deadline soon`,
    `rotate prod/db --on-deadline ${canary}`,
    `rotation extend prod/db`,
    `rotation excuse prod/db`,
    `rotation set prod/db`,
    `rotation rollback prod/db --to 0`,
  ])('%s', async (line) => {
    const { code, out } = await run(line)
    expect([code, out]).toEqual([2, ''])
  })

  it('and by the server: without a policy or a value', async () => {
    const { code, err } = await run('rotate prod/db')
    expect(code).toBe(3)
    expect(err).toContain('send data')
  })
})

describe('a rotation', () => {
  it('is set up, begun, watched, steered and completed', async () => {
    const policy = file(
      'policy.yaml',
      'rotator: { kind: generated, fields: { password: { length: 32, alphabet: alphanumeric } } }\ndeadlineSeconds: 600\nonDeadline: hold\n',
    )
    expect(await done(`rotation set prod/db --file ${policy}`)).toMatch(
      /^rotation policy of prod\/db set, revision 1 {2}log /,
    )
    expect((await run(`rotation set prod/db --file ${policy} --revision 0`)).code).toBe(3)
    expect(await done('rotation show prod/db')).toContain('alphabet: alphanumeric')
    expect(await done('status')).toBe('no rotation is in progress\n')

    for (const pod of pods) expect((await pod.fetch()).status).toBe(200)
    expect(await done('rotate prod/db --deadline 1h')).toMatch(
      /^rotation of prod\/db started, version 2 {2}rot_\w+ {2}log /,
    )
    await pass(1)
    await pods[0]?.fetch()
    await pass(20)
    expect(await done('status')).toMatch(/^PATH +STATE +VERSIONS +DEADLINE +LAST ERROR\nprod\/db {2}waiting {2}1 → 2/)
    const status = await done('status prod/db')
    expect(status).toContain('waits for  1 of its consumers')
    expect(status).toContain(pods[1]?.session)
    expect(status).not.toContain(pods[0]?.session)
    const consumers: { items: { holder: string; moved: boolean }[] } = JSON.parse(
      await done('consumers prod/db -o json'),
    )
    expect(consumers.items.map((item) => `${item.holder} ${item.moved}`).toSorted()).toEqual(
      pods.map((pod, n) => `${pod.session} ${n === 0}`).toSorted(),
    )
    expect(await done('consumers prod/db --waited-for')).toMatch(/pod-1|shop/)

    const { code, err } = await run('consumers prod/db --proof')
    expect([code, err]).toEqual([2, expect.stringContaining('PURSER_LOG_KEY')])
    const proven = await proof('consumers prod/db --proof')
    const rows = proven.out.split('\n').map((row) => row.split(/ {2,}/))
    expect(rows.slice(1, -1)).toEqual([
      ['shop', pods[1]?.session, '1', expect.stringMatching(/^entry \d+$/), 'verified'],
      ['shop', pods[0]?.session, '2', expect.stringMatching(/^entry \d+$/), 'verified'],
    ])
    const [name = ''] = purser.vkeys[0]?.split('+') ?? []
    const result = await proof('consumers prod/db --proof', formatVkey(name, generateKeyPairSync('ed25519').publicKey))
    expect(result.code).toBe(4)
    expect(result.out).toMatch(/NO PROOF {2}entry \d+ does not verify \(bad_signature\)\n$/)
    expect((await proof('consumers prod/db --proof', 'no-key')).code).toBe(2)

    expect(await done('rotation extend prod/db --by 2h')).toContain('extended, waiting')
    expect(await done('rotation hold prod/db')).toContain('hold, held')
    expect(await done('rotation extend prod/db --by 60')).toContain('extended, waiting')
    await done(`rotation excuse prod/db --session ${pods[1]?.session}`)
    await pass(1)
    expect(await done('status prod/db')).toMatch(/^state +retired$/m)
    expect((await run('rotation hold prod/db')).code).toBe(3)
  })

  it('to a supplied value, and back', async () => {
    await pods[0]?.fetch()
    await done('rotate prod/db --field password', `${canary}-2\n`)
    await pass(1)
    await pods[0]?.fetch()
    expect(pods[0]?.held()?.data).toEqual({ password: `${canary}-2` })
    await pods[1]?.fetch('db?version=2')
    expect(await done('rotation rollback prod/db --to 2')).toContain('back to version 2')
    await pass(1)
    await pods[0]?.fetch()
    expect(pods[0]?.held()).toMatchObject({ version: 4, data: { user: 'app' } })
    await done(`rotation excuse prod/db --session ${pods[1]?.session}`)
    await pass(1)
    expect((await run('rotation remove prod/db --revision 7')).code).toBe(3)
    expect(await done('rotation remove prod/db')).toMatch(/^rotation policy of prod\/db removed {2}log /)
    expect((await run('rotation remove prod/db')).code).toBe(3)
  })
})
