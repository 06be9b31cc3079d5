/** The second factor: authenticator apps and recovery codes, at two replicas. */
import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entryFor } from '../support/accounts.ts'
import { accountWithPassword, anyAddress, logIn, password, sessionOf } from '../support/logins.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'

let purser: TestPurser
let replica: TestPurser
let ask: Ask
/** Each login has its own time, and so its own code. */
let now = Date.now()
const nextStep = (): void => {
  now += 30_000
}
beforeAll(async () => {
  const clock = { now: () => new Date(now) }
  purser = await startPurser({ store: 'postgres', env: anyAddress, ...clock })
  replica = await startReplica(purser, { env: anyAddress, ...clock })
  ask = createAsk(purser)
})
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

type Enrolled = { name: string; token: string; recoveryCodes: string[]; code: (steps?: number) => string }

async function enrolled(name: string): Promise<Enrolled> {
  await accountWithPassword(ask, name, 'operator')
  const token = await sessionOf(purser, name)
  const { body } = await ask('enrolTotp', { name: 'self', token })
  const totp = new TOTP({ secret: Secret.fromBase32(String(body['secret'])) })
  const code = (steps = 0): string => totp.generate({ timestamp: now + steps * 30_000 })
  nextStep()
  const confirmed = await ask('confirmTotp', { name: 'self', token, body: { code: code() } })
  expect(confirmed.status, confirmed.text).toBe(200)
  nextStep()
  return { name, token, code, recoveryCodes: confirmed.body['recoveryCodes'] as string[] }
}

const at = (server: TestPurser, operator: string, code?: string) =>
  logIn(server, { operator, password, ...(code !== undefined && { code }) })

describe('a second factor', () => {
  it('is required once it is confirmed, and the log never has its secret', async () => {
    await accountWithPassword(ask, 'ada', 'operator')
    const token = await sessionOf(purser, 'ada')
    const { body, status } = await ask('enrolTotp', { name: 'ada', token })
    expect(status).toBe(201)
    expect(body['uri']).toMatch(/^otpauth:\/\/totp\/Purser%20example\.org:ada\?.*secret=[A-Z2-7]{32}/)
    expect((await at(purser, 'ada')).status).toBe(201)
    const totp = new TOTP({ secret: Secret.fromBase32(String(body['secret'])) })
    const code = totp.generate({ timestamp: now })
    const confirmed = await ask('confirmTotp', { name: 'ada', token, body: { code } })
    expect(confirmed.body['recoveryCodes']).toHaveLength(10)
    expect(fault(await at(purser, 'ada'))).toBe('401 code_required')
    expect(fault(await at(purser, 'ada', code))).toBe('401 unauthenticated')
    nextStep()
    const login = await at(purser, 'ada', totp.generate({ timestamp: now }))
    expect(login.status).toBe(201)
    expect(await entryFor(purser, login)).toMatchObject({ detail: { secondFactor: 'totp' } })
    const log = JSON.stringify(await readLog(purser))
    expect(log).not.toContain(body['secret'])
    for (const recovery of confirmed.body['recoveryCodes'] as string[]) expect(log).not.toContain(recovery)
    const rows = JSON.stringify(await purser.knex('operator_totp'))
    expect(rows).not.toContain(body['secret'])
    expect(fault(await ask('enrolTotp', { name: 'self', token }))).toBe('409 conflict')
  })

  it('accepts each code once, at all replicas together', async () => {
    const { name, code } = await enrolled('once')
    const answers = await Promise.all([1, 2, 3, 4].map((n) => at(n % 2 ? purser : replica, name, code())))
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 401, 401, 401])
    expect(fault(await at(replica, name, code(-1)))).toBe('401 unauthenticated')
    expect(fault(await at(replica, name, code(1)))).toBe('201 ')
    expect(fault(await at(purser, name, code()))).toBe('401 unauthenticated')
  })

  it('refuses other codes and spellings, and discloses nothing about the password', async () => {
    const { name, code } = await enrolled('wrong')
    const wrong = String((Number(code()) + 1) % 1_000_000).padStart(6, '0')
    expect(fault(await at(purser, name, wrong))).toBe('401 unauthenticated')
    expect(fault(await at(purser, name, code(-3)))).toBe('401 unauthenticated')
    for (const spelling of [
      ` ${code()}`,
      `${code()} `,
      `${code().slice(0, 3)} ${code().slice(3)}`,
      `${code()}\n`,
      '',
      '1',
    ])
      expect(fault(await at(purser, name, spelling)), spelling).toBe('400 invalid_request /code')
    const guess = await logIn(purser, { operator: name, password: 'seven swans on the leak' })
    expect(fault(guess)).toBe('401 unauthenticated')
  })

  it('allows twenty guesses an hour, from all addresses', async () => {
    const { name, code } = await enrolled('guessed')
    const wrong = String((Number(code()) + 7) % 1_000_000).padStart(6, '0')
    const statuses: number[] = []
    for (let n = 0; n < 21; n++) {
      const answer = await logIn(purser, { operator: name, password, code: wrong }, { from: `198.18.9.${n}` })
      statuses.push(answer.status)
    }
    expect(statuses).toEqual([...Array.from({ length: 20 }, () => 401), 429])
  }, 60_000)

  it('has recovery codes, which work once each', async () => {
    const { name, recoveryCodes } = await enrolled('recovers')
    const [first = '', second = ''] = recoveryCodes
    expect(fault(await at(purser, name, first))).toBe('201 ')
    expect(fault(await at(replica, name, first))).toBe('401 unauthenticated')
    const replies = await Promise.all([at(purser, name, second), at(replica, name, second)])
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 401])
  })

  it('is enrolled only by its operator, and removed with a code, or by an admin', async () => {
    const { name, token, code } = await enrolled('removes')
    expect(fault(await ask('enrolTotp', { name }))).toBe('403 forbidden')
    expect(fault(await ask('removeTotp', { name: 'self', token, body: {} }))).toBe('403 forbidden /code')
    expect(fault(await ask('removeTotp', { name: 'self', token, body: { code: code(-3) } }))).toBe(
      '403 forbidden /code',
    )
    expect(fault(await ask('removeTotp', { name: 'self', token, body: { code: code() } }))).toBe('204 ')
    expect((await at(purser, name)).status).toBe(201)

    const other = await enrolled('reset')
    expect(fault(await ask('removeTotp', { name: 'reset', token, body: {} }))).toBe('403 forbidden')
    expect(fault(await ask('removeTotp', { name: 'reset', body: {} }))).toBe('204 ')
    expect(fault(await ask('whoAmI', { token: other.token }))).toBe('401 unauthenticated')
    expect((await at(purser, 'reset')).status).toBe(201)
  })
})
