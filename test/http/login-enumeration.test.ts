/** A stranger who has a name learns nothing of it: each refused login costs the same work and reads the same. */
import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { account } from '../support/accounts.ts'
import { accountWithPassword, anyAddress, logIn, password, sessionOf } from '../support/logins.ts'
import { type Ask, createAsk } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

/** What argon2 computed: the parameters of each hash, and the length of its text. */
const work = vi.hoisted((): string[] => [])
vi.mock('argon2', async (importOriginal) => {
  const { default: argon2 } = await importOriginal<{ default: typeof import('argon2') }>()
  return {
    default: {
      ...argon2,
      hash: (...args: Parameters<typeof argon2.hash>) => {
        work.push('hash')
        return argon2.hash(...args)
      },
      verify: (...args: Parameters<typeof argon2.verify>) => {
        const [stored, text] = args
        work.push(`verify ${stored.split('$').slice(1, 4).join(' ')} ${text.length}`)
        return argon2.verify(...args)
      },
    },
  }
})

const wrong = password.replace('lake', 'leak')

let purser: TestPurser
let ask: Ask
let code: () => string
beforeAll(async () => {
  let now = Date.now()
  purser = await startPurser({ store: 'postgres', env: anyAddress, now: () => new Date(now) })
  ask = createAsk(purser)
  await account(ask, 'tokens-only', 'operator')
  for (const name of ['ada', 'away', 'careful']) await accountWithPassword(ask, name, 'operator')
  await ask('disableOperator', { name: 'away' })
  const token = await sessionOf(purser, 'careful')
  const { body } = await ask('enrolTotp', { name: 'self', token })
  const totp = new TOTP({ secret: Secret.fromBase32(String(body['secret'])) })
  code = () => totp.generate({ timestamp: now })
  expect((await ask('confirmTotp', { name: 'self', token, body: { code: code() } })).status).toBe(200)
  now += 30_000
})
afterAll(() => purser.stop())

/** Everything that a stranger receives but the id of the request and the time. */
const received = ({ status, headers, text, body }: Answer): unknown => ({
  status,
  text: text.replace(String(body['requestId']), 'req'),
  headers: [...headers].filter(([name]) => name !== 'date').map(([name, value]) => `${name}: ${value.replace(/req_\w+/, 'req')}`), // prettier-ignore
})

describe('a refused login', () => {
  it('costs the same work and reads the same, whatever is wrong', async () => {
    const notCode = String((Number(code()) + 1) % 1_000_000).padStart(6, '0')
    const tries: [string, object][] = [
      ['an unknown name', { operator: 'nobody', password: wrong }],
      ['an unknown name, with a code', { operator: 'nobody-else', password: wrong, code: notCode }],
      ['a wrong password', { operator: 'ada', password: wrong }],
      ['a wrong password, with a code', { operator: 'ada', password: wrong, code: notCode }],
      ['a disabled operator', { operator: 'away', password: wrong }],
      ['a disabled operator, with the right password', { operator: 'away', password }],
      ['an operator without a password', { operator: 'tokens-only', password: wrong }],
      ['a wrong password beside a second factor', { operator: 'careful', password: wrong, code: code() }],
      ['a wrong password beside a second factor, without a code', { operator: 'careful', password: wrong }],
      ['a wrong code', { operator: 'careful', password, code: notCode }],
    ]
    const outcomes = []
    for (const [n, [name, body]] of tries.entries()) {
      work.length = 0
      const answer = await logIn(purser, body, { from: `198.18.7.${n}` })
      outcomes.push([name, { received: received(answer), work: [...work] }])
    }
    const [[, first] = []] = outcomes
    expect(first).toMatchObject({
      received: { status: 401 },
      work: [`verify argon2id v=19 m=65536,t=3,p=1 ${wrong.length}`],
    })
    expect(outcomes).toEqual(tries.map(([name]) => [name, first]))
  })
})
