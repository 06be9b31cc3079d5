/** `purser log new-epoch`, on the host of a stopped server. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { issueMany } from '../support/log-traffic.ts'
import { createPlace } from '../support/place.ts'
import type { TestPurser } from '../support/purser.ts'
import { bothStores } from '../support/stores.ts'

describe.each(bothStores)('log new-epoch (%s)', (store) => {
  let place: Awaited<ReturnType<typeof createPlace>>
  let purser: TestPurser
  const run = (args: string[], env = {}) => cli(['log', 'new-epoch', ...args], { env: { ...place.env(), ...env } })
  const reason = ['--reason', 'restored from the backup of 23:00']

  beforeAll(async () => {
    place = await createPlace(store)
    purser = await place.start()
    const issuer = await createIssuer()
    await registerLab(purser, issuer)
    await issueMany(purser, issuer, 3)
    await purser.stop()
    const putBack = await place.keep()
    purser = await place.start(purser.admin)
    await issueMany(purser, issuer, 4)
    await purser.stop()
    await putBack()
  })
  afterAll(() => place.remove())

  it('does nothing without a reason, without the root key, or beside a server', async () => {
    expect((await run([])).code).toBe(2)
    expect((await run(['--reason', 'x'.repeat(201)])).code).toBe(2)
    const other = Buffer.alloc(32, 7).toString('base64')
    expect(await run(reason, { PURSER_ROOT_KEY: other })).toMatchObject({
      code: 1,
      err: expect.stringContaining('root key'),
    })
    const server = await place.start(purser.admin)
    const { code, out, err } = await run(reason)
    await server.stop()
    expect([code === 0, out]).toEqual([false, ''])
    expect(err).toMatch(store === 'embedded' ? /has this data directory open/ : /stop every replica/)
  })

  it('does not guess a head that it cannot read', async () => {
    const file = join(place.dataDir, 'other-head')
    writeFileSync(file, 'no head\n')
    expect(await run([...reason, '--known', file])).toMatchObject({ code: 2, err: expect.stringContaining(file) })
    const url = 'https://127.0.0.1:1/head'
    const unread = await run(reason, { PURSER_LOG_HEAD_URL: url })
    expect(unread).toMatchObject({ code: 5, err: expect.stringContaining('PURSER_LOG_HEAD_URL') })
  })

  it('prints the lost entries, the replaced keys and the bootstrap token file', async () => {
    const { code, out, err } = await run(reason)
    expect(code).toBe(0)
    expect(out).toMatch(/^epoch +2, after \d+ entries of epoch 1\n/)
    expect(out).toMatch(/\nlost +entries \d+ to \d+, by the head in \S+log-head\n/)
    expect(out).toMatch(/\nended +\d+ sessions/)
    expect(out).toMatch(/\nreplaced +root-ca, issuing-ca, jwt-es256, jwt-rs256\n/)
    expect(err).toContain('purser log open')
    const file = join(place.dataDir, 'bootstrap-token')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(out).not.toContain(readFileSync(file, 'utf8').trim())

    purser = await place.start()
    const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?action=log.epoch')
    expect(body.items).toMatchObject([{ epoch: 2, index: 0, entry: { detail: { reason: reason[1] } } }])
    expect((await purser.call('GET', '/readyz')).status).toBe(503)
    await purser.asAdmin('POST', '/api/v1/log:open', undefined, { 'purser-reason': 'reviewed' })
    expect((await purser.call('GET', '/readyz')).status).toBe(200)
    await purser.stop()
  })

  it('may be repeated, in JSON, and continues', async () => {
    const { code, out } = await run(['--reason', 'again', '-o', 'json'])
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      epoch: 3,
      previous: { epoch: 2 },
      vkey: expect.stringContaining('/log/3+'),
    })
    purser = await place.start()
    for (const epoch of [1, 2]) {
      expect((await purser.call('GET', `/log/${epoch}/checkpoint`)).text).toContain(`example.org/log/${epoch}\n`)
    }
    await purser.stop()
  })
})
