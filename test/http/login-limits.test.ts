/** Limits of logins: by address, by name, and by concurrent hashes; and that they lock out no operator. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { accountWithPassword, anyAddress, logIn, password, callerView } from '../support/logins.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

/** The hashes that run now, and the highest number at once. `gate`: they wait for it. */
const hashes = vi.hoisted(() => ({ running: 0, max: 0, count: 0, instant: false, gate: Promise.resolve() }))
vi.mock('argon2', async (importOriginal) => {
  const { default: argon2 } = await importOriginal<{ default: typeof import('argon2') }>()
  async function counted<T>(work: () => Promise<T>): Promise<T> {
    hashes.count++
    hashes.max = Math.max(hashes.max, ++hashes.running)
    return hashes.gate.then(work).finally(() => hashes.running--)
  }
  return {
    default: {
      ...argon2,
      hash: (...args: Parameters<typeof argon2.hash>) => counted(() => argon2.hash(...args)),
      verify: (...args: Parameters<typeof argon2.verify>) =>
        counted(() => (hashes.instant ? Promise.resolve(false) : argon2.verify(...args))),
    },
  }
})

let purser: TestPurser
let ask: Ask
beforeEach(async () => {
  purser = await startPurser({ store: 'postgres', env: { ...anyAddress, PURSER_LIMIT_ADDRESS_PER_SECOND: '1000' } })
  ask = createAsk(purser)
  await accountWithPassword(ask, 'ada', 'admin')
  Object.assign(hashes, { running: 0, max: 0, count: 0, instant: true, gate: Promise.resolve() })
})
afterEach(() => purser.stop())

const wrong = 'seven swans on the leak'
const address = (n: number): string => `198.18.${n >> 8}.${n & 255}`
async function guess(operator: string, count: number, from: (n: number) => string): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let n = 0; n < count; n++) answers.push(await logIn(purser, { operator, password: wrong }, { from: from(n) }))
  return answers
}
const statuses = (answers: Answer[]): number[] => answers.map(({ status }) => status)
const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status)

describe('guesses of a password', () => {
  it('are ten a minute from one address, for any names and spellings, and then cost no hash', async () => {
    const names = ['ada', 'nobody', 'bea', 'admin']
    const answers: Answer[] = []
    for (let n = 0; n < 12; n++) {
      answers.push(await logIn(purser, { operator: names[n % 4], password: wrong }, { from: '192.0.2.1' }))
    }
    expect(statuses(answers)).toEqual([...times(10, 401), ...times(2, 429)])
    expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(hashes.count).toBe(10)
  })

  it('with other spellings of a name are refused, and count for no operator', async () => {
    for (const operator of ['Ada', 'ada ', ' ada', 'ADA', '\uff41da', 'ada\u0301', 'a\u200dda'])
      for (let n = 0; n < 5; n++)
        expect(fault(await logIn(purser, { operator, password: wrong }, { from: address(n) }))).toBe(
          '400 invalid_request /operator',
        )
    expect(hashes.count).toBe(0)
    expect(statuses(await guess('ada', 31, address))).toEqual([...times(30, 401), 429])
  })

  it('are thirty a minute for one name from all addresses, whether or not the operator exists', async () => {
    const real = await guess('ada', 32, address)
    const guesses = await guess('nobody', 32, (n) => address(1000 + n))
    expect(statuses(real)).toEqual([...times(30, 401), ...times(2, 429)])
    const outcomesOf = (answers: Answer[]) =>
      answers.map((answer) => ({ ...(callerView(answer) as object), retryAfter: undefined }))
    expect(outcomesOf(guesses)).toEqual(outcomesOf(real))
  })

  it('count for all addresses of an IPv6 network', async () => {
    expect(statuses(await guess('ada', 11, (n) => `2001:db8:1:2::${n + 1}`))).toEqual([...times(10, 401), 429])
  })

  it('do not count when they succeed', async () => {
    hashes.instant = false
    const answers: Answer[] = []
    for (let n = 0; n < 12; n++) answers.push(await logIn(purser, { operator: 'ada', password }, { from: '192.0.2.1' }))
    expect(statuses(answers)).toEqual(times(12, 201))
  })

  it('from elsewhere do not lock out an operator at an address of an earlier login', async () => {
    hashes.instant = false
    expect(fault(await logIn(purser, { operator: 'ada', password }, { from: '192.0.2.9' }))).toBe('201 ')
    hashes.instant = true
    await guess('ada', 31, address)
    // Other users, who guess other names, share the address.
    await guess('nobody', 11, () => '192.0.2.9')
    hashes.instant = false
    expect(fault(await logIn(purser, { operator: 'ada', password }, { from: '192.0.2.9' }))).toBe('201 ')
    expect(fault(await logIn(purser, { operator: 'ada', password }, { from: address(9) }))).toBe('429 rate_limited')
  })

  it('of a name do not lock out its API token, which can set a password', async () => {
    await guess('ada', 31, address)
    expect(fault(await ask('whoAmI'))).toBe('200 ')
    expect(fault(await ask('setOperatorPassword', { name: 'ada', body: { password: 'nine geese on a pond' } }))).toBe(
      '200 ',
    )
  })

  it('of the present password count like those of a login', async () => {
    hashes.instant = false
    const { body } = await logIn(purser, { operator: 'ada', password })
    const answers: Answer[] = []
    for (let n = 0; n < 11; n++) {
      const change = { password: 'nine geese on a pond', currentPassword: wrong }
      hashes.instant = true
      answers.push(await ask('setOperatorPassword', { name: 'self', token: String(body['token']), body: change }))
    }
    expect(statuses(answers)).toEqual([...times(10, 403), 429])
  })
})

describe('500 logins at once', () => {
  it('run two hashes at a time, are refused beyond a queue, and do not delay other requests', async () => {
    hashes.instant = false
    const before = process.memoryUsage().rss
    const flood = Array.from({ length: 500 }, (_, n) =>
      logIn(purser, { operator: `op-${n}`, password: wrong }, { from: address(n) }),
    )
    await expect.poll(() => hashes.running).toBe(2)
    const others = await Promise.all([
      ask('listWorkloads'),
      ask('createOperator', { body: { name: 'x', role: 'auditor' } }),
    ])
    expect(statuses(others)).toEqual([200, 201])
    const answers = await Promise.all(flood)
    expect(new Set(statuses(answers))).toEqual(new Set([401, 429]))
    expect(hashes.max).toBe(2)
    expect(hashes.count).toBeLessThanOrEqual(500)
    expect(statuses(answers).filter((status) => status === 401).length).toBe(hashes.count)
    // Two hashes of 64 MiB, and the memory of 500 requests.
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024)
  })

  it('wait in a queue of 32, beside which credentials are issued', async () => {
    const issuer = await createIssuer()
    await registerLab(purser, issuer)
    let open = (): void => undefined
    hashes.gate = new Promise((resolve) => (open = resolve))
    const answers: Answer[] = []
    const flood = Array.from({ length: 500 }, async (_, n) =>
      answers.push(await logIn(purser, { operator: `op-${n}`, password: wrong }, { from: address(n) })),
    )
    await expect.poll(() => answers.length, { timeout: 20_000 }).toBe(466)
    expect(new Set(answers.map(fault))).toEqual(new Set(['429 rate_limited']))
    expect(hashes.running).toBe(2)
    for (let n = 0; n < 20; n++) {
      const proof = { kind: 'jwt', token: await issuer.token() }
      expect((await purser.call('POST', '/api/v1/credentials', { proof, accessToken: {} })).status).toBe(200)
    }
    expect([answers.length, hashes.running]).toEqual([466, 2])
    open()
    await Promise.all(flood)
    expect(answers.slice(466).map(fault)).toEqual(Array.from({ length: 34 }, () => '401 unauthenticated'))
    expect(hashes).toMatchObject({ max: 2, running: 0 })
  })
})
