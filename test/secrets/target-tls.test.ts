/** The identity of a target: verified by chain and name, as libpq's verify-full, before any credential is sent. */
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withConnection } from '../../src/secrets/databases/connect.ts'
import type { TargetTls } from '../../src/secrets/databases/definition.ts'
import { type Identities, makeIdentities } from '../outbound/tls-server.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

describe('a connection to a target', () => {
  let target: TargetServer
  let identities: Identities
  beforeAll(async () => {
    identities = makeIdentities()
    target = await startTarget(identities.good)
  })
  afterAll(() => target.stop())

  const encrypted = async (host: string, tls: TargetTls) =>
    withConnection({ host, port: target.port, database: 'orders', tls }, target.admin, (session) =>
      session.run('select ssl from pg_stat_ssl where pid = pg_backend_pid()'),
    )

  it('is encrypted, to a host by name, by address, or by the name in its certificate', async () => {
    const caPem = identities.ca
    expect(await encrypted('127.0.0.1', { caPem })).toEqual([{ ssl: true }])
    expect(await encrypted('localhost', { caPem })).toEqual([{ ssl: true }])
    expect(await encrypted('127.0.0.1', { caPem, serverName: 'issuer.test' })).toEqual([{ ssl: true }])
  })

  it('is refused with another authority or name, before any login', async () => {
    const before = target.log()
    for (const tls of [
      {},
      { caPem: identities.otherCa.cert },
      { caPem: identities.ca, serverName: 'other.test' },
      { caPem: identities.ca, serverName: '127.0.0.2' },
    ]) {
      await expect(encrypted('127.0.0.1', tls)).rejects.toMatchObject({ fault: 'untrusted' })
    }
    expect(target.log().slice(before.length)).not.toMatch(/authoriz|authenticat/)
  })

  it('is refused by a server without TLS, and bounded in time with a silent one', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address ? address.port : 0
    try {
      const session = withConnection({ host: '127.0.0.1', port, database: 'x', tls: {} }, target.admin, (session) =>
        session.run('select 1'),
      )
      await expect(session).rejects.toMatchObject({ fault: 'unreachable' })
    } finally {
      silent.close()
    }
  })

  it("reports errors in Purser's words, never in those of the server", async () => {
    const wrong = withConnection(
      { host: '127.0.0.1', port: target.port, database: 'orders', tls: { caPem: identities.ca } },
      { username: 'purser_admin', password: 'wrong-canary' },
      (session) => session.run('select 1'),
    )
    await expect(wrong).rejects.toMatchObject({
      fault: 'wrong_credential',
      message: expect.not.stringContaining('canary'),
    })
    const syntax = withConnection(
      { host: '127.0.0.1', port: target.port, database: 'orders', tls: { caPem: identities.ca } },
      target.admin,
      (session) => session.run('select 1; select canary'),
    )
    await expect(syntax).rejects.toMatchObject({ fault: 'failed', message: expect.not.stringContaining('canary') })
  })
})
