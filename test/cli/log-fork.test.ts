/** `purser log new-epoch` when a signed head proves that the log has two histories. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createNoteSigner, parseCheckpoint, parseNote, signCheckpoint, verifyExport } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CommandResult, cli } from '../support/cli.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { issueMany } from '../support/log-traffic.ts'
import { createPlace } from '../support/place.ts'
import type { TestPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const headOf = (note: string) => parseCheckpoint(parseNote(note).text)

describe.each(frontDoorStores)('log new-epoch beside a fork (%s)', (store) => {
  let place: Awaited<ReturnType<typeof createPlace>>
  let purser: TestPurser
  /** The file with the signed head of the other history, of fewer entries than the database has. */
  let fork: string
  let vkeys: string[]

  const run = (...args: string[]): Promise<CommandResult> =>
    cli(['log', 'new-epoch', '--reason', 'two histories', ...args], { env: place.env() })
  const file = (name: string, text: string): string => {
    const path = join(place.dataDir, name)
    writeFileSync(path, text)
    return path
  }
  const headNow = async (): Promise<string> => (await purser.call('GET', '/log/1/checkpoint')).text

  beforeAll(async () => {
    place = await createPlace(store)
    purser = await place.start()
    const { admin } = purser
    const issuer = await createIssuer()
    await registerLab(purser, issuer)
    await issueMany(purser, issuer, 3)
    await purser.stop()
    const putBack = await place.keep()

    purser = await place.start(admin)
    await issueMany(purser, issuer, 2)
    fork = file('fork', await headNow())
    ;({ vkeys } = purser)
    await purser.stop()

    await putBack()
    rmSync(join(place.dataDir, 'log-head'))
    purser = await place.start(admin)
    await issueMany(purser, issuer, 8)
    await purser.stop()
  })
  afterAll(() => place.remove())

  it('refuses a head that is signed by another log', async () => {
    const origin = 'example.org/log/1'
    const key = createNoteSigner(origin, generateKeyPairSync('ed25519').privateKey)
    const path = file('other-log', signCheckpoint(origin, 3, randomBytes(32), [key]))
    const { code, err } = await run('--known', path)
    expect(code).toBe(2)
    expect(err).toContain(`${path} is signed by no log key of this database`)
  })

  it('refuses a smaller head over other entries, though the newest known head agrees', async () => {
    expect(headOf(readFileSync(join(place.dataDir, 'log-head'), 'utf8')).size).toBeGreaterThan(
      headOf(readFileSync(fork, 'utf8')).size,
    )
    const { code, out, err } = await run('--known', fork)
    expect([code, out]).toEqual([4, ''])
    expect(err).toContain(`${fork} is a signed head over ${headOf(readFileSync(fork, 'utf8')).size} other entries`)
    expect(err).toContain('--accept-fork')
  })

  it('continues with --accept-fork: the log records the fork, and the verifier reports it', async () => {
    const { code, out } = await run('--known', fork, '--accept-fork')
    expect(code).toBe(0)
    expect(out).toMatch(/\nfork +\S+fork: \d+ other entries\n/)

    purser = await place.start()
    const note = readFileSync(fork, 'utf8')
    const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=log.epoch')
    const { size, root } = headOf(note)
    expect(body.items).toMatchObject([
      {
        epoch: 2,
        entry: { detail: { previous: { epoch: 1, forks: [{ size, root: root.toString('base64'), note }] } } },
      },
    ])
    const text = await purser.asAdmin('GET', '/api/v1/audit/export')
    const keys = (await purser.call('GET', '/log/keys')).body.keys as { vkey: string }[]
    const all = { vkeys: keys.map(({ vkey }) => vkey) }
    const report = await verifyExport(text.text.split('\n'), all)
    expect(report.problems).toEqual([])
    expect(report.notExcluded.join('\n')).toContain(`epoch 2 names a signed head over ${size} other entries of epoch 1`)
    const verdict = await verifyExport(text.text.split('\n'), { ...all, checkpoints: [note] })
    expect(verdict.problems).toMatchObject([{ code: 'fork', epoch: 1 }])
    expect(all.vkeys).toEqual(expect.arrayContaining(vkeys))
    await purser.stop()
  })
})
