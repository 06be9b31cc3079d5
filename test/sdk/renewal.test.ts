/** A client renews what it holds before its end, and what it does when that fails; against a Purser in memory. */
import { X509Certificate } from 'node:crypto'
import { type EventName, type Events, type Purser } from '@purser/sdk'
import { type TestConnectOptions, type TestPurser, createTestPurser } from '@purser/sdk/testing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { failing } from './failing.ts'
import { fakeTime, settle } from './fake-time.ts'

const spiffeId = 'spiffe://example.org/web'
const hour = 3600

function inMemory(): TestPurser {
  const purser = createTestPurser()
  onTestFinished(() => purser.close())
  return purser
}

type Happened = { [N in EventName]?: Events[N][] }

/** A client and its events. */
async function connected(purser: TestPurser, options: Partial<TestConnectOptions> = {}) {
  const warnings: string[] = []
  const onWarning = (warning: string): void => void warnings.push(warning)
  const client = await purser.connect({ spiffeId, sessionSeconds: 10 * hour, onWarning, ...options })
  const events: Happened = {}
  const names: EventName[] = ['renewed', 'expiring', 'expired', 'disconnected', 'reconnected', 'bundle', 'fork']
  for (const name of names) client.on(name, (event) => void ((events[name] ??= []) as unknown[]).push(event))
  return { client, events, warnings }
}

/** The requests for credentials, each with the seconds since the first. */
const credentialRequests = ({ requests }: TestPurser) => {
  const all = requests.filter(({ path }) => path === '/api/v1/credentials')
  return all.map((request) => ({ ...request, second: (request.at.getTime() - (all[0]?.at.getTime() ?? 0)) / 1000 }))
}
const serialOf = ({ x509 }: Purser): string => x509.serialNumber

describe('renewal', () => {
  test('comes at about half of the lifetime, by the certificate, with the requested tokens', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser, {
      jwts: ['payments'],
      jwtLifetimeSeconds: hour,
      accessToken: true,
    })
    const before = { serial: serialOf(client), session: client.session.id, token: client.accessToken?.token }
    await pass(0.44 * hour)
    expect(credentialRequests(purser)).toHaveLength(1)
    await pass(0.08 * hour)
    expect(credentialRequests(purser).slice(1)).toMatchObject([
      { by: 'certificate', status: 200, requested: { x509: true, jwts: ['payments'], accessToken: true } },
    ])
    expect(serialOf(client)).not.toBe(before.serial)
    expect(client.session.id).toBe(before.session)
    expect(client.accessToken?.token).not.toBe(before.token)
    const { serialNumber, notAfter } = client.x509
    expect(events).toEqual({ renewed: [{ serialNumber, notAfter, by: 'certificate' }] })
    await client.jwt('payments')
    expect(credentialRequests(purser)).toHaveLength(2)
  })

  test.each([0.1, 0.3, 0.9])('comes at renewAt: %d of a lifetime', async (renewAt) => {
    const { pass } = fakeTime()
    const purser = inMemory()
    await connected(purser, { renewAt })
    await pass(renewAt * 0.89 * hour)
    expect(credentialRequests(purser)).toHaveLength(1)
    await pass(renewAt * 0.12 * hour)
    expect(credentialRequests(purser)).toHaveLength(2)
  })

  test('uses the proof at the end of the session, and the certificate again afterwards, without a gap', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser, { sessionSeconds: 2 * hour })
    const serials = new Set<string>()
    for (let minute = 0; minute < 8 * 60; minute += 4) {
      await pass(240, 60)
      serials.add(serialOf(client))
      expect(client.x509.notAfter.getTime()).toBeGreaterThan(Date.now())
    }
    const by = events.renewed?.map((renewal) => renewal.by) ?? []
    // A certificate that ends with its session cannot renew.
    expect(by[0]).toBe('certificate')
    expect(by.filter((proof, n) => proof === 'proof' && by[n + 1] === 'certificate').length).toBeGreaterThan(1)
    expect(by.length).toBeLessThan(25)
    expect(serials.size).toBeGreaterThan(10)
    expect(events).toEqual({ renewed: events.renewed })
    expect(credentialRequests(purser).filter(({ status }) => status !== 200)).toEqual([])
  })

  test('is one request for all concurrent callers', async () => {
    const { pass, sleep } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser)
    // The schedule is about to renew as well.
    sleep(0.6 * hour)
    const all = Promise.all(Array.from({ length: 10 }, () => client.renew()))
    await pass(30)
    await all
    expect(credentialRequests(purser)).toHaveLength(2)
  })

  test('continues for the others after one caller aborts', async () => {
    const purser = inMemory()
    const { client } = await connected(purser)
    const controller = new AbortController()
    const [gaveUp, pending] = [failing(client.renew({ signal: controller.signal })), client.renew()]
    controller.abort()
    expect((await gaveUp).code).toBe('aborted')
    await pending
    expect(credentialRequests(purser)).toHaveLength(2)
  })

  test('comes at most once a second, however short the lifetime', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    await connected(purser, { lifetimeSeconds: 6, renewAt: 0.1 })
    await pass(20, 0.1)
    const at = credentialRequests(purser).map(({ second }) => Math.round(second * 1000))
    expect(at.length).toBeGreaterThan(10)
    expect(Math.min(...at.slice(2).map((ms, n) => ms - (at[n + 1] ?? 0)))).toBeGreaterThanOrEqual(1000)
  })

  test('renews a used token before its end, and lets an unused one expire', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser, { x509: false })
    const first = await client.jwt('used')
    await client.jwt('lapsing')
    await pass(200)
    expect(credentialRequests(purser).map(({ requested }) => requested?.jwts)).toEqual([
      [],
      ['used'],
      ['lapsing'],
      ['used', 'lapsing'],
    ])
    expect(await client.jwt('used')).not.toBe(first)
    await pass(200)
    expect(
      credentialRequests(purser)
        .slice(4)
        .map(({ requested }) => requested?.jwts),
    ).toEqual([['used']])
  })
})

describe('while Purser is unreachable', () => {
  test('the held certificate is served until its end, then an error within a second, then recovery by itself', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser, { jwts: ['payments'], jwtLifetimeSeconds: hour })
    const serial = serialOf(client)
    const token = await client.jwt('payments')
    const { notAfter } = client.x509
    await pass(60)
    purser.away()
    await pass(0.7 * hour - 60)
    expect(serialOf(client)).toBe(serial)
    expect(await client.jwt('payments')).toBe(token)
    expect(Object.keys(events)).toEqual(['disconnected'])
    expect(events.disconnected).toMatchObject([{ error: { code: 'unreachable' } }])

    await pass((notAfter.getTime() - Date.now()) / 1000 - 1)
    expect(events.expiring).toMatchObject([{ notAfter, error: { code: 'unreachable' } }])
    expect(serialOf(client)).toBe(serial)
    expect(await failing(client.jwt('payments'))).toMatchObject({ code: 'unreachable' })
    await pass(1, 0.5)
    expect(() => client.x509).toThrow(
      expect.objectContaining({ code: 'expired', cause: expect.objectContaining({ code: 'unreachable' }) }),
    )
    expect(events.expired).toMatchObject([{ notAfter, error: { code: 'unreachable' } }])

    await pass(300)
    expect(Object.values(events).map((all) => all.length)).toEqual([1, 1, 1])
    purser.back()
    await pass(30)
    expect(serialOf(client)).not.toBe(serial)
    expect(await client.jwt('payments')).not.toBe(token)
    expect(events.renewed).toMatchObject([{ by: 'proof', serialNumber: serialOf(client) }])
    expect(events.reconnected).toHaveLength(1)
    expect(events.reconnected?.[0]?.afterMs).toBeGreaterThan(0.5 * hour * 1000)
  })

  test('tries are some 30 s apart, and closer near the end', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    await connected(purser)
    purser.away()
    await pass(2 * hour, 1)
    const at = credentialRequests(purser)
      .slice(1)
      .map(({ second }) => second)
    const gaps = at.slice(1).map((second, n) => second - (at[n] ?? 0))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0.5)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(35)
    expect(at.length).toBeLessThan(800)
    // With nothing left, the caller's request goes out at once: the program waits for it.
    expect(Math.max(...gaps.filter((_, n) => (at[n] ?? 0) > hour + 60))).toBeLessThanOrEqual(15)
  })

  test('a Retry-After is honoured, to the second', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser)
    purser.refuse('rate_limited', { retryAfterSeconds: 300 })
    await pass(0.8 * hour, 5)
    const at = credentialRequests(purser)
      .slice(1)
      .map(({ second }) => second)
    expect(at.length).toBeGreaterThan(2)
    for (const [n, second] of at.slice(1).entries()) expect(second - (at[n] ?? 0)).toBeGreaterThanOrEqual(300)
    purser.back()
    await pass(310, 5)
    expect(events.reconnected).toHaveLength(1)
    expect(client.x509.notAfter.getTime() - Date.now()).toBeGreaterThan(0.9 * hour * 1000)
  })

  test.each([
    ['a certificate', {}],
    ['tokens alone', { x509: false, jwts: ['payments'], jwtLifetimeSeconds: hour }],
  ])('a Retry-After of days costs no lifetime: %s', async (_, options) => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { events } = await connected(purser, options)
    purser.refuse('rate_limited', { retryAfterSeconds: 900_000 })
    await pass(0.55 * hour)
    expect(credentialRequests(purser)).toHaveLength(2)
    purser.back()
    await pass(0.4 * hour)
    expect(credentialRequests(purser).slice(2)).toMatchObject([{ status: 200 }])
    expect([events.renewed?.length, events.expired]).toEqual([1, undefined])
  })

  test('a Retry-After of days is checked each minute once the held credentials have ended', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser)
    purser.refuse('rate_limited', { retryAfterSeconds: 900_000 })
    await pass(1.2 * hour)
    purser.back()
    await pass(61)
    expect(client.x509.notAfter.getTime()).toBeGreaterThan(Date.now())
  })

  test('a machine that slept past the end does not wait for a Retry-After', async () => {
    const { pass, sleep } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser)
    purser.refuse('rate_limited', { retryAfterSeconds: 1500 })
    await pass(0.55 * hour)
    sleep(3 * hour)
    purser.back()
    await pass(91)
    expect(client.x509.notAfter.getTime()).toBeGreaterThan(Date.now())
  })

  test('a clock that was ahead for a while does not delay the next try', async () => {
    const { pass, sleep, setBack } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser)
    const serial = serialOf(client)
    purser.away()
    await pass(0.6 * hour)
    sleep(24 * hour)
    await pass(31)
    setBack(24 * hour)
    purser.back()
    await pass(31)
    expect(serialOf(client)).not.toBe(serial)
  })

  test('the outage is measured by a monotonic clock', async () => {
    const { pass, setBack } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser)
    purser.away()
    await failing(client.renew())
    await pass(100)
    setBack(1000)
    purser.back()
    await client.renew()
    expect(events.reconnected).toEqual([{ afterMs: 100_000 }])
  })

  test('a short Retry-After is honoured in the same request', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser)
    purser.refuse('log_unavailable', { retryAfterSeconds: 2, times: 1 })
    const renewed = client.renew()
    await settle()
    await pass(3)
    await renewed
    expect(events.disconnected).toBeUndefined()
    expect(credentialRequests(purser).map(({ second }) => Math.floor(second))).toEqual([0, 0, 2])
  })

  test('a server that accepts requests and never answers costs one deadline, and no more', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser, { timeoutMs: 3000 })
    purser.away({ silent: true })
    const error = failing(client.renew())
    await pass(4)
    expect((await error).code).toBe('timeout')
    expect(events.disconnected).toHaveLength(1)
    // The proof may have been spent: after 50 s it is not presented again.
    purser.back()
    await pass(60)
    await client.renew()
    expect(credentialRequests(purser).at(-1)?.by).toBe('jwt')
  })

  test('a machine that slept past the end reports it at once', async () => {
    const { pass, sleep } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser)
    sleep(2 * hour)
    expect(() => client.x509).toThrow(expect.objectContaining({ code: 'expired' }))
    await pass(31)
    expect(events.renewed).toMatchObject([{ by: 'proof' }])
    expect(serialOf(client)).toBe(events.renewed?.[0]?.serialNumber)
  })
})

describe('a renewal whose answer was lost', () => {
  test('is repeated with the same key: the session continues', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser)
    const { session } = client
    purser.loseAnswers(3)
    await pass(0.52 * hour, 1)
    expect(credentialRequests(purser).slice(1)).toMatchObject([
      ...Array.from({ length: 3 }, () => ({ by: 'certificate', status: 0, reason: undefined })),
      { by: 'certificate', status: 200 },
    ])
    expect(client.session.id).toBe(session.id)
    expect(new X509Certificate(client.x509.certificateChain).serialNumber.toLowerCase()).toBe(serialOf(client))
    // The next renewal is an ordinary one.
    await client.renew()
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
  })

  test('is not repeated later, when it would look like theft: the proof is presented', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser)
    purser.loseAnswers()
    await failing(client.renew())
    purser.away()
    await pass(0.6 * hour)
    purser.back()
    await pass(60, 1)
    expect(
      credentialRequests(purser)
        .filter(({ status }) => status === 200)
        .map(({ by }) => by),
    ).toEqual(['jwt', 'jwt'])
    expect(credentialRequests(purser).filter(({ reason }) => reason !== undefined)).toEqual([])
    await client.renew()
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
  })

  test('without a proof: the held certificate is served until its end, and no repetition revokes it as stolen', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    let works = true
    const proof = (): Promise<string> =>
      works ? Promise.resolve(purser.proof(spiffeId)) : Promise.reject(new Error('gone'))
    const { client } = await connected(purser, { proof })
    const serial = serialOf(client)
    works = false
    purser.loseAnswers()
    await failing(client.renew())
    purser.away()
    await pass(0.6 * hour)
    purser.back()
    await pass(0.39 * hour)
    expect(serialOf(client)).toBe(serial)
    expect(credentialRequests(purser).filter(({ reason }) => reason !== undefined)).toEqual([])
    works = true
    await pass(30, 1)
    expect(serialOf(client)).not.toBe(serial)
  })

  test('does not count as lost when the server answered that it did nothing: the certificate is presented again, however late', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    purser.register({ spiffeId, sessionSeconds: 10 * hour })
    const { client } = await connected(purser, { proof: purser.joinToken(spiffeId) })
    const { session } = client
    await pass(0.4 * hour)
    purser.refuse('rate_limited', { retryAfterSeconds: 60 })
    await pass(0.2 * hour)
    purser.back()
    await pass(61)
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
    expect(client.session.id).toBe(session.id)
  })

  test('is not repeated in the last seconds either: it would end the session of others that share it', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    purser.register({ spiffeId, sessionSeconds: 10 * hour })
    const { client, events } = await connected(purser, { proof: purser.joinToken(spiffeId) })
    const { serialNumber } = client.x509
    await pass(0.4 * hour)
    // It is unknown whether anything was written before.
    purser.refuse('log_unavailable', { retryAfterSeconds: 60 })
    await pass(0.2 * hour)
    purser.back()
    const before = credentialRequests(purser).length
    await pass(0.39 * hour)
    expect(serialOf(client)).toBe(serialNumber)
    await pass(60, 1)
    expect(
      credentialRequests(purser)
        .slice(before)
        .filter(({ by }) => by === 'certificate'),
    ).toEqual([])
    expect(events.expired).toMatchObject([{ error: { code: 'attestation_failed' } }])
  })

  test.each([
    ['though the clock was set back meanwhile', { passed: 300, setBack: 280, slept: 0 }],
    ['though the clock was set back to before it was sent', { passed: 300, setBack: 600, slept: 0 }],
    ['though the machine slept meanwhile', { passed: 0, setBack: 0, slept: 300 }],
  ])('is not repeated later %s', async (_, { passed, setBack, slept }) => {
    const time = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser)
    await time.pass(400)
    purser.loseAnswers()
    await failing(client.renew())
    purser.away()
    await time.pass(passed)
    time.sleep(slept)
    time.setBack(setBack)
    purser.back()
    const before = credentialRequests(purser).length
    await client.renew()
    expect(credentialRequests(purser).slice(before)).toMatchObject([{ by: 'jwt', status: 200 }])
  })

  test('with a key of the server is never repeated by certificate: it could not be distinguished from another', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser, { x509: { generateKey: 'EC-P256' } })
    purser.loseAnswers()
    await failing(client.renew())
    await pass(1)
    await client.renew()
    expect(credentialRequests(purser).map(({ by, status }) => [by, status])).toEqual([
      ['jwt', 200],
      ['certificate', 0],
      ['jwt', 200],
    ])
    await client.renew()
    expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'certificate', status: 200 })
  })

  test.each([
    ['a 503 with an unknown effect is repeated by the proof', 'log_unavailable', 'jwt'],
    ['a 429, which did nothing, by the certificate', 'rate_limited', 'certificate'],
  ] as const)('with a key of the server: %s', async (_, code, by) => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client } = await connected(purser, { x509: { generateKey: 'EC-P256' } })
    purser.refuse(code, { retryAfterSeconds: 2, times: 1 })
    const renewed = client.renew()
    await settle()
    await pass(3)
    await renewed
    expect(credentialRequests(purser).map(({ by: kind }) => kind)).toEqual(['jwt', 'certificate', by])
  })
})

describe('permanent failures', () => {
  test('a revoked session: the certificate is served until its end, and the reason is reported', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser)
    await purser.revoke({ session: client.session.id })
    await pass(1.1 * hour)
    expect(() => client.x509).toThrow(expect.objectContaining({ code: 'expired', status: 401 }))
    expect(events.expired).toMatchObject([{ error: { code: 'attestation_failed' } }])
    expect(events.disconnected).toBeUndefined()
    const reasons = new Set(credentialRequests(purser).map(({ reason }) => reason))
    // The last reason occurs when the clock moves between the decision to present the certificate and the server's check.
    for (const reason of [undefined, 'session_ended', 'blocked', 'client_certificate']) reasons.delete(reason)
    expect([...reasons]).toEqual([])
    expect(credentialRequests(purser).length).toBeLessThan(400)
  })

  test('a fork of the log: it is reported with both heads, nothing of it is accepted, and the held certificate is served', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser)
    const serial = serialOf(client)
    purser.fork()
    await pass(0.55 * hour)
    expect(events.fork?.[0]).toMatchObject({ error: { code: 'log_forked' }, heads: { kept: expect.any(String) } })
    expect(events.renewed).toBeUndefined()
    expect(serialOf(client)).toBe(serial)
  })

  test('a failing proof causes only its own error', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    let works = true
    const proof = (): Promise<string> =>
      works ? Promise.resolve(purser.proof(spiffeId)) : Promise.reject(new Error('gone'))
    const { client, events } = await connected(purser, { proof, lifetimeSeconds: hour, sessionSeconds: hour })
    works = false
    await pass(0.97 * hour)
    await pass(0.04 * hour, 1)
    expect(events.expired).toMatchObject([{ error: { code: 'no_proof' } }])
    works = true
    await pass(20)
    expect(client.x509.notAfter.getTime()).toBeGreaterThan(Date.now())
  })
})

test('new roots are reported, and verify peers at once', async () => {
  const purser = inMemory()
  const [web, api] = [await connected(purser), await connected(purser, { spiffeId: 'spiffe://example.org/api' })]
  const roots = (client: Purser): number => client.x509.trustBundle.split('BEGIN').length - 1
  expect([roots(web.client), roots(api.client)]).toEqual([1, 1])
  await purser.rotateRoot()
  expect([roots(web.client), roots(api.client)]).toEqual([2, 2])
  expect(web.events.bundle).toHaveLength(1)
  await web.client.renew()
  await api.client.renew()
  await purser.rotateRoot({ compromised: true })
  expect([roots(web.client), roots(api.client)]).toEqual([1, 1])
  // The certificate has a root that was removed.
  await web.client.renew()
  expect(credentialRequests(purser).at(-1)).toMatchObject({ by: 'jwt', status: 200 })
  expect(web.client.x509.trustBundle).toBe(purser.roots)
})

describe('close()', () => {
  test('ends pending and later calls: no request is sent any more', async () => {
    const { pass } = fakeTime()
    const purser = inMemory()
    const { client, events } = await connected(purser)
    purser.away({ silent: true })
    const waiting = failing(client.renew())
    await settle()
    client.close()
    client.close()
    expect((await waiting).code).toBe('closed')
    expect(() => client.x509).toThrow(expect.objectContaining({ code: 'closed' }))
    expect((await failing(client.renew())).code).toBe('closed')
    const before = purser.requests.length
    purser.back()
    await pass(3 * hour, 60)
    expect(purser.requests.length).toBe(before)
    expect(events).toEqual({})
  })
})

test('a listener that throws does not affect the others', async () => {
  const purser = inMemory()
  const { client, events, warnings } = await connected(purser)
  const stop = client.on('renewed', () => expect.fail('thrown by a listener'))
  const laterEvents: unknown[] = []
  client.on('renewed', (event) => laterEvents.push(event))
  await client.renew()
  stop()
  await client.renew()
  expect([events.renewed?.length, laterEvents.length, warnings]).toEqual([
    2,
    2,
    ["a listener of 'renewed' threw: thrown by a listener"],
  ])
})

test('a listener that rejects, and an onWarning that throws or rejects, end nothing', async () => {
  const unhandled: unknown[] = []
  const warningTexts: string[] = []
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason)
  const onProcessWarning = ({ message }: Error): void => void warningTexts.push(message)
  process.on('unhandledRejection', onUnhandled).on('warning', onProcessWarning)
  try {
    const purser = inMemory()
    const { client, warnings } = await connected(purser)
    client.on('renewed', () => Promise.reject(new Error('rejected by a listener')))
    await client.renew()
    const failingWarnings = [
      (): void => expect.fail('thrown by onWarning'),
      (): Promise<void> => Promise.reject(new Error('rejected by onWarning')),
    ]
    for (const onWarning of failingWarnings) {
      const other = await connected(purser, { onWarning })
      other.client.on('renewed', () => Promise.reject(new Error('of another')))
      await other.client.renew()
      expect(other.events.renewed).toHaveLength(1)
    }
    await new Promise((done) => setImmediate(done))
    expect(unhandled).toEqual([])
    expect(warnings).toEqual(["a listener of 'renewed' threw: rejected by a listener"])
    expect(warningTexts).toEqual(
      ['thrown', 'rejected'].map(
        (verb) => `onWarning failed (${verb} by onWarning) for: a listener of 'renewed' threw: of another`,
      ),
    )
  } finally {
    process.off('unhandledRejection', onUnhandled).off('warning', onProcessWarning)
  }
})
