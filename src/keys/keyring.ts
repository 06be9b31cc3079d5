/** The keyring: wrapping keys, each wrapped by the root key. They wrap private keys and data keys. */
import { type KeyObject, createSecretKey, randomBytes } from 'node:crypto'
import { decrypt, encrypt } from './envelope.ts'
import type { RootKey } from './root-key.ts'

export type KeyringRow = { id: string; wrapped: Buffer; rootKeyId: string; createdAt: Date }

/** Made by another replica, and not known here yet; or its row is gone. */
export class UnknownWrappingKey extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  constructor(id: string) {
    super(`the keyring has no key ${id}`)
    this.name = 'UnknownWrappingKey'
  }
}

/** Not this database's root key, or not any more: after a rotation every replica needs the new one. */
class OtherRootKey extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  constructor(needed: string, presented: string) {
    const after = 'after `purser root-key rotate` every replica needs the new one'
    super(`the keyring was wrapped by root key ${needed}, not by the given ${presented}; ${after}`)
    this.name = 'OtherRootKey'
  }
}

export type Keyring = Awaited<ReturnType<typeof openKeyring>>

const place = (instanceId: string, id: string): string[] => ['keyring', instanceId, id]

export async function newKeyringRow(root: RootKey, instanceId: string, id: string, now: Date): Promise<KeyringRow> {
  return { id, wrapped: await root.wrap(randomBytes(32), place(instanceId, id)), rootKeyId: root.id, createdAt: now }
}

/** The same wrapping key under another root key. @throws EnvelopeError when the row was moved or changed */
export async function underRootKey(
  from: RootKey,
  to: RootKey,
  instanceId: string,
  row: KeyringRow,
): Promise<KeyringRow> {
  const key = await from.unwrap(row.wrapped, place(instanceId, row.id))
  try {
    return { ...row, wrapped: await to.wrap(key, place(instanceId, row.id)), rootKeyId: to.id }
  } finally {
    key.fill(0)
  }
}

/** Opens every wrapping key. @throws when the root key is another one than the rows were wrapped by */
export async function openKeyring(root: RootKey, instanceId: string, rows: readonly KeyringRow[]) {
  const keys = new Map<string, KeyObject>()
  let current: KeyringRow | undefined

  async function add(more: readonly KeyringRow[]): Promise<void> {
    for (const row of more) {
      if (row.rootKeyId !== root.id) {
        throw new OtherRootKey(row.rootKeyId, root.id)
      }
      if (!keys.has(row.id))
        keys.set(row.id, createSecretKey(await root.unwrap(row.wrapped, place(instanceId, row.id))))
      if (!current || row.createdAt > current.createdAt) current = row
    }
  }

  await add(rows)
  const currentId = (): string => {
    if (!current) throw new Error('the keyring is empty')
    return current.id
  }
  currentId()
  const key = (id: string): KeyObject => {
    const wrappingKey = keys.get(id)
    if (!wrappingKey) throw new UnknownWrappingKey(id)
    return wrappingKey
  }
  return {
    instanceId,
    /** The key that wraps new keys and values. */
    get currentId() {
      return currentId()
    },
    has: (id: string) => keys.has(id),
    /** Opens newer wrapping keys of another replica. @throws as `openKeyring` */
    add,
    wrap: (plaintext: Buffer, fields: readonly string[]) =>
      encrypt(key(currentId()), plaintext, [instanceId, currentId(), ...fields]),
    /** @throws EnvelopeError when the row was moved or changed; UnknownWrappingKey when its wrapping key is missing */
    unwrap: (id: string, wrapped: Buffer, fields: readonly string[]) =>
      decrypt(key(id), wrapped, [instanceId, id, ...fields]),
  }
}

/** Loads wrapping keys that the keyring lacks: another replica may just have added them. */
export const openerOf =
  (keyring: Pick<Keyring, 'has' | 'add'>, read: () => Promise<KeyringRow[]>) =>
  async (ids: readonly string[]): Promise<void> => {
    if (!ids.every((id) => keyring.has(id))) await keyring.add(await read())
  }
