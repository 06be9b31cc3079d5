import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createKeys } from '../../src/keys/keys.ts'
import { newKeyringRow, openKeyring } from '../../src/keys/keyring.ts'
import { endlessFrom } from '../../src/keys/lifetimes.ts'
import { newLogKey, newMacKey } from '../../src/keys/new-key.ts'
import { generateRootKey, openRootKey } from '../../src/keys/root-key.ts'
import { rotateKeyring } from '../../src/keys/rotate-keyring.ts'
import type { KeyRow } from '../../src/store/rows.ts'
import { secondsFrom } from '../support/test-ca.ts'

const now = new Date('2026-01-01T00:00:00Z')
const instance = 'instance-1'
const rootKey = openRootKey({ kind: 'value', value: generateRootKey() })

async function oneKey() {
  const first = await newKeyringRow(rootKey, instance, 'kek_1', now)
  const keyring = await openKeyring(rootKey, instance, [first])
  const mac = newMacKey({ keyring, trustDomain: 'example.org', randomBytes }, endlessFrom(now))
  return { first, keyring, mac }
}
const keysOf = (...rows: KeyRow[]): { keys: Map<string, KeyRow> } => ({
  keys: new Map(rows.map((row) => [row.id, row])),
})

describe('refused rows', () => {
  test('a keyring that another root key or another instance wrapped, or an empty one', async () => {
    const { first } = await oneKey()
    const other = openRootKey({ kind: 'value', value: generateRootKey() })
    await expect(openKeyring(other, instance, [first])).rejects.toThrow('was wrapped by root key')
    await expect(openKeyring(rootKey, 'instance-2', [first])).rejects.toThrow('does not open')
    await expect(openKeyring(rootKey, instance, [])).rejects.toThrow('empty')
  })

  test('a private key in the row of another, or under a missing wrapping key', async () => {
    const { keyring, mac } = await oneKey()
    const other = newMacKey({ keyring, trustDomain: 'example.org', randomBytes }, endlessFrom(now))
    const sign = (row: KeyRow) => createKeys(keyring).signing(keysOf(row), 'mac', now)
    expect(() => sign({ ...mac, wrapped: other.wrapped })).toThrow('does not open')
    expect(() => sign({ ...mac, id: other.id })).toThrow('does not open')
    expect(() => sign({ ...mac, wrappingKeyId: 'kek_9' })).toThrow('no key kek_9')
    expect(sign(mac).key.symmetricKeySize).toBe(32)
  })
})

test('rotation wraps every key again, and a keyring that reads the change opens them', async () => {
  const { first, keyring, mac } = await oneKey()
  const before = createKeys(keyring).signing(keysOf(mac), 'mac', now).key
  const upstream: KeyRow = { ...mac, id: 'upstream-1', kind: 'root-ca', wrapped: Buffer.alloc(0) }
  const { row, rewrapped } = await rotateKeyring(
    rootKey,
    instance,
    [first],
    [mac, upstream],
    'kek_2',
    secondsFrom(now, 5),
  )
  expect(rewrapped.map((key) => [key.id, key.wrappingKeyId])).toEqual([[mac.id, 'kek_2']])
  const [rewrappedKey] = rewrapped
  if (!rewrappedKey) throw new Error('nothing was wrapped again')

  expect([keyring.currentId, keyring.has('kek_2')]).toEqual(['kek_1', false])
  const fresh = createKeys(keyring)
  expect(() => fresh.signing(keysOf(rewrappedKey), 'mac', now)).toThrow('no key kek_2')
  await keyring.add([first, row])
  expect(keyring.currentId).toBe('kek_2')
  expect(fresh.signing(keysOf(rewrappedKey), 'mac', now).key.equals(before)).toBe(true)
})

test('the newest key wraps, also after the clock was set back', async () => {
  const { first, mac } = await oneKey()
  const { row, rewrapped } = await rotateKeyring(rootKey, instance, [first], [mac], 'kek_2', secondsFrom(now, -3600))
  expect(rewrapped[0]?.wrappingKeyId).toBe('kek_2')
  expect((await openKeyring(rootKey, instance, [row, first])).currentId).toBe('kek_2')
})

test('a log key signs only the sizes of its range', async () => {
  const { keyring } = await oneKey()
  const maker = { keyring, trustDomain: 'example.org', randomBytes }
  const old = { ...newLogKey(maker, endlessFrom(now), 1, 0), toSize: 20, withdrawnAt: now }
  const next = newLogKey(maker, endlessFrom(now), 1, 15)
  const other = newLogKey(maker, endlessFrom(now), 2, 0)
  const keys = createKeys(keyring)
  const signers = (size: number) => keys.logSigners(keysOf(next, other, old), 'example.org/log/1', 1, size).length
  expect([0, 14, 15, 20, 21].map(signers)).toEqual([1, 1, 2, 2, 1])
})
