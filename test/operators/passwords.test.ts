/** Passwords: which texts are equal, how many hashes run at once, and which stored hashes are current. */
import { describe, expect, it } from 'vitest'
import { createSlots } from '../../src/operators/hash-slots.ts'
import { readNewPassword, readPassword } from '../../src/operators/password-text.ts'
import { createPasswords, isOutdated } from '../../src/operators/passwords.ts'

describe('the text of a password (RFC 8265 section 4.2)', () => {
  it.each([
    ['composed and decomposed letters', 'caf\u00e9 caf\u00e9 caf\u00e9', 'cafe\u0301 cafe\u0301 cafe\u0301'],
    ['spaces of every kind', 'one two three', 'one\u00a0two\u3000three'],
    [
      'Hangul',
      '\ud55c\uae00 \ube44\ubc00\ubc88\ud638',
      '\u1112\u1161\u11ab\u1100\u1173\u11af \u1107\u1175\u1106\u1175\u11af\u1107\u1165\u11ab\u1112\u1169',
    ],
  ])('is the same for %s', (_, first, second) => {
    expect(readPassword(first).text).toBe(readPassword(second).text)
    expect(readPassword(first).text).toBeDefined()
  })

  it.each([
    ['upper and lower case', 'Seven Swans', 'seven swans'],
    ['a space at the end', 'seven swans', 'seven swans '],
    ['compatible letters', 'ﬁne password', 'fine password'],
  ])('differs by %s', (_, first, second) => {
    expect(readPassword(first).text).not.toBe(readPassword(second).text)
  })

  it.each([
    ['nothing', ''],
    ['NUL', 'seven\0swans on the lake'],
    ['a line break', 'seven swans\non the lake'],
    ['a lone surrogate', 'seven swans \ud800 on the lake'],
    ['an unassigned code point', 'seven swans \u0378 on the lake'],
    ['more than 1024 bytes', 'é'.repeat(513)],
    ['a megabyte', 'x'.repeat(1_000_000)],
  ])('is refused for %s', (_, input) => {
    expect(readPassword(input).problem).toBeDefined()
  })

  it.each([
    ['11 characters', 'elevenchars'],
    ['11 characters in many bytes', '🦢🐦🦆🐧🦉🦅🐓🦃🕊🐤🦜'],
    ['one character', 'aaaaaaaaaaaaaaaa'],
    ['the name of the operator', 'Charlemagne-the-first'],
  ])('is refused as a new password for %s', (_, input) => {
    expect(readNewPassword(input, 'charlemagne-the-first').problem).toBeDefined()
  })

  it('may have 12 characters and 1024 bytes', () => {
    expect(readNewPassword('twelve chars', 'ada').text).toBe('twelve chars')
    expect(readNewPassword('é'.repeat(500) + 'abcdefgh' + 'ü'.repeat(8), 'ada').text).toHaveLength(516)
  })
})

describe('slots', () => {
  const pending = () => {
    let finish = (): void => undefined
    const done = new Promise<void>((resolve) => (finish = resolve))
    return { done, finish }
  }

  it('run a fixed number at once, urgent work first, and refuse what does not fit in the queue', async () => {
    const slots = createSlots({ maxRunning: 2, maxWaiting: 2 })
    const order: string[] = []
    const gates = ['a', 'b', 'c', 'd', 'u'].map((name) => ({ name, ...pending() }))
    const start = (name: string, isUrgent = false): Promise<void> =>
      slots(isUrgent, async () => {
        order.push(name)
        await gates.find((gate) => gate.name === name)?.done
      })
    const running = ['a', 'b', 'c', 'd'].map((name) => start(name))
    await expect(start('e')).rejects.toMatchObject({ code: 'rate_limited' })
    const urgent = start('u', true)
    expect(order).toEqual(['a', 'b'])
    gates[0]?.finish()
    await expect.poll(() => order, { interval: 1 }).toEqual(['a', 'b', 'u'])
    for (const gate of gates) gate.finish()
    await Promise.all([...running, urgent])
    expect(order).toEqual(['a', 'b', 'u', 'c', 'd'])
  })

  it('free a slot whose work fails', async () => {
    const slots = createSlots({ maxRunning: 1, maxWaiting: 1 })
    await expect(slots(false, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    expect(await slots(false, () => Promise.resolve(1))).toBe(1)
  })
})

describe('hashes', () => {
  const passwords = createPasswords()

  it('have a salt of their own, verify, and are current', async () => {
    const [first, second] = [await passwords.hash('seven swans'), await passwords.hash('seven swans')]
    expect(first).toMatch(/^\$argon2id\$v=19\$m=65536,t=3,p=1\$/)
    expect(first).not.toBe(second)
    expect(isOutdated(first)).toBe(false)
    expect(await passwords.verify('seven swans', first, false)).toBe(true)
    expect(await passwords.verify('seven swang', first, false)).toBe(false)
  })

  it('verify under earlier parameters, which are outdated', async () => {
    const argon2 = (await import('argon2')).default
    const old = await argon2.hash('seven swans', { memoryCost: 8192, timeCost: 2, parallelism: 1 })
    expect(await passwords.verify('seven swans', old, false)).toBe(true)
    expect(isOutdated(old)).toBe(true)
  })

  const salt = 'c2FsdHNhbHRzYWx0c2FsdA'
  const digest = 'A'.repeat(43)
  it.each([
    ['that do not exist', undefined],
    ['with 4 GiB of memory', `$argon2id$v=19$m=4194304,t=3,p=1$${salt}$${digest}`],
    ['with a million passes', `$argon2id$v=19$m=65536,t=1000000,p=1$${salt}$${digest}`],
    ['with many lanes', `$argon2id$v=19$m=65536,t=3,p=200$${salt}$${digest}`],
    ['of another function', `$argon2i$v=19$m=65536,t=3,p=1$${salt}$${digest}`],
    ['of an older version', `$argon2id$m=65536,t=3,p=1$${salt}$${digest}`],
    ['that are no PHC string', 'x'],
  ])('%s match nothing', async (_, stored) => {
    expect(await passwords.verify('seven swans', stored, false)).toBe(false)
  })
})
